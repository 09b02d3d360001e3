/* Rows for people (a table) or for programs (JSON). */
#ifndef RELAY_CLI_OUTPUT_H
#define RELAY_CLI_OUTPUT_H

#include "outbox-relay/cli_db.h"

#include <stdio.h>

#define CLI_JSON_OPTION \
    { \
        .name = "json", .type = CLI_FLAG, .help = "print JSON for programs instead of a table" \
    }

/* Prints the rows as a table: headers are the columns' names, numbers to the right, control
 * characters of values as '?'. No row: `empty`. */
void cli_print_table(FILE *out, const PGresult *result, const char *empty);

/* Runs `sql` and prints its rows as a table, or with --json as an array of objects. Returns a
 * cli_exit. */
int cli_print_query(const struct cli_arguments *arguments, PGconn *connection, const char *sql,
    const char *const *parameters, int count, const char *empty);

#endif
