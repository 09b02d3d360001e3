/* Rows for people (a table) or for programs (JSON). */
#ifndef RELAY_CLI_OUTPUT_H
#define RELAY_CLI_OUTPUT_H

#include "outbox-relay/cli/cli_db.h"
#include "shared/base/cleanup.h"

#include <stdio.h>

#define CLI_JSON_OPTION \
    { \
        .name = "json", .type = CLI_FLAG, .common = true, \
        .help = "print JSON for programs: an array of objects" \
    }

/* The statement of a command that does something once: an array of one object with `columns`, a
 * select list with its FROM, then these columns themselves. */
#define CLI_OUTCOME(columns) \
    "select json_build_array(row_to_json(outcome)), outcome.* from (select " columns ") outcome"

/* Runs `sql` and prints its rows as a table, or with --json as an array of objects. Returns a
 * cli_exit. */
int cli_print_query(const struct cli_arguments *arguments, PGconn *connection, const char *sql,
    const char *const *parameters, int count, const char *empty);

/* Prints what came of a CLI_OUTCOME: with --json the array, else the sentence. */
void cli_print_outcome(const struct cli_arguments *arguments, const PGresult *result,
    const char *format, ...) PRINTF_LIKE(3, 4);

#endif
