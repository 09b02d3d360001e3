/* The commands of outbox-relay, one file each (cmd_*.c), and what they share. */
#ifndef RELAY_COMMAND_H
#define RELAY_COMMAND_H

#include "shared/cleanup.h"

#include <getopt.h>
#include <libpq-fe.h>

/* Exit statuses. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
    const char *name;
    const char *synopsis; /* what follows the name */
    const char *summary;  /* one line for the list */
    const char *help;     /* the options, one a line; printed by --help */
    int (*run)(const struct command *command, int argc, char **argv); /* returns an exit status */
};

extern const struct command CMD_INIT, CMD_RUN, CMD_SUBSCRIBE;

/* Prints the synopsis, summary and options. */
void command_help(const struct command *command);

/* One line on stderr that names the mistake; returns EXIT_USAGE. */
int command_misuse(const struct command *command, const char *format, ...) PRINTF_LIKE(2, 3);

/* One line on stderr with a reason; returns EXIT_FAILED. */
int command_failed(const char *format, ...) PRINTF_LIKE(1, 2);

/* getopt_long that answers --help and reports mistakes by itself. Returns the option's value, -1 at
 * the end, -2 when the command is to return *ret_status. */
int command_option(const struct command *command, int argc, char **argv,
    const struct option *options, int *ret_status);

/* Connects and says why it can't (NULL). `dsn` NULL: the environment variable
 * OUTBOX_RELAY_SOURCE, else an error that names both. */
PGconn *command_connect(const struct command *command, const char *dsn, int *ret_status);

/* Runs one statement with text parameters. Returns the result (the caller's to clear), or NULL
 * after an error message. */
PGresult *command_query(
    PGconn *connection, const char *sql, int param_count, const char *const *values);

#endif
