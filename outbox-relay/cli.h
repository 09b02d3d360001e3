/* The command line: commands described by tables, which parse the arguments and print the help. */
#ifndef RELAY_CLI_H
#define RELAY_CLI_H

#include "shared/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit statuses of every command. */
enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE_ERROR = 2 };

#define CLI_MAX_OPTIONS 32
#define CLI_MAX_OPERANDS 4
#define CLI_MAX_REPEATS 64
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

/* What was given. Strings live as long as argv and the environment. */
struct cli_arguments {
    const struct cli_command *command;
    int operand_count;
    const char *operands[CLI_MAX_OPERANDS];
    struct cli_values {
        int count;
        const char *texts[CLI_MAX_REPEATS];
        int64_t number;
    } values[CLI_MAX_OPTIONS]; /* in the order of command->options */
};

/* Asking for an option that the command does not declare aborts: a mistake of the program. */
bool cli_flag(const struct cli_arguments *arguments, const char *name);
const char *cli_text(const struct cli_arguments *arguments, const char *name); /* NULL: absent */
bool cli_int(const struct cli_arguments *arguments, const char *name, int64_t *ret_value);
/* Returns how many; *ret_texts is borrowed from `arguments`. */
int cli_list(
    const struct cli_arguments *arguments, const char *name, const char *const **ret_texts);

/* The i-th operand; NULL when it was not given. */
const char *cli_operand(const struct cli_arguments *arguments, int index);

/* Whether an operand, which may be absent, has the form of a UUID; complains when it does not. */
bool cli_check_event_id(const struct cli_arguments *arguments, const char *text);

/* One line on stderr, "outbox-relay COMMAND: …"; returns `status`. */
int cli_complain(const struct cli_arguments *arguments, int status, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* The text about an option that --help and the manual page share. */
void cli_option_text(const struct cli_option *option, char ret_text[CLI_OPTION_TEXT_SIZE]);

/* Writes out what was printed. Returns 0, or a negative errno (-EIO when an earlier write has
 * failed) once: the failure is forgotten then, so that it is reported once. cli_main does it at the
 * end. */
MUST_CHECK int cli_flush(void);
#define CLI_OUTPUT_LOST "cannot write to standard output: %s"

/* Runs the command that argv names and returns its exit status. */
int cli_main(const struct cli_command *const *commands, size_t count, int argc, char **argv);

#endif
