/* The tables that describe commands and their options: they are parsed by, and --help and the
 * manual page are printed from them. */
#ifndef RELAY_CLI_TABLE_H
#define RELAY_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit statuses of every command. */
enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE_ERROR = 2 };

#define CLI_MISTAKE_SIZE 256
#define CLI_OPTION_TEXT_SIZE 512

enum cli_option_type {
    CLI_FLAG, /* --json */
    CLI_TEXT, /* --url URL, also --url=URL */
    CLI_INT,  /* --batch-size N, within [min, max] */
    CLI_LIST, /* --source NAME=DSN, may be repeated */
};

struct cli_option {
    const char *name; /* without the dashes */
    enum cli_option_type type;
    const char *metavar; /* "URL"; NULL for a flag */
    const char *help;    /* begins in lower case, without a final full stop; `literal` */
    bool common;         /* means the same everywhere: the manual page explains it once */
    bool required;
    const char *environment; /* used when the option is not given; NULL: none */
    const char *choices;     /* CLI_TEXT: words separated by '|'; NULL: any */
    int64_t min, max;        /* CLI_INT */
    /* CLI_TEXT: false when the value won't do, after writing what is wrong; NULL: any will. */
    bool (*check)(const char *text, char ret_mistake[CLI_MISTAKE_SIZE]);
};

struct cli_arguments;

struct cli_command {
    const char *name;
    const char *operands; /* for the usage line: "NAME [EVENT_ID]"; "" when it takes none */
    int min_operands, max_operands;
    const char *summary; /* one line in the list of commands, as the help of an option */
    const char *details; /* paragraphs of --help, separated by an empty line; NULL: none */
    const struct cli_option *options;
    size_t option_count;
    int (*run)(const struct cli_arguments *arguments); /* returns a cli_exit */
};

/* The text about an option that --help and the manual page share. */
void cli_option_text(const struct cli_option *option, char ret_text[CLI_OPTION_TEXT_SIZE]);

#endif
