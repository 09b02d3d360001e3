/* The command line as a command sees it: what was given, and how to complain. */
#ifndef RELAY_CLI_H
#define RELAY_CLI_H

#include "outbox-relay/cli/cli_table.h"
#include "shared/base/cleanup.h"

#define CLI_MAX_OPTIONS 32
#define CLI_MAX_OPERANDS 4
#define CLI_MAX_REPEATS 64

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

/* Writes out what was printed. Returns 0, or a negative errno (-EIO when an earlier write has
 * failed) once: the failure is forgotten then, so that it is reported once. cli_main does it at the
 * end. */
MUST_CHECK int cli_flush(void);
#define CLI_OUTPUT_LOST "cannot write to standard output: %s"

/* Runs the command that argv names and returns its exit status. */
int cli_main(const struct cli_command *const *commands, size_t count, int argc, char **argv);

#endif
