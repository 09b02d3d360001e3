/* Rows for people (a table) or for programs (JSON). */
#include "outbox-relay/cli/cli_output.h"
#include "shared/base/cleanup.h"
#include "shared/db/result.h"

#include <stdarg.h>
#include <string.h>

#define MAX_COLUMNS 32
#define MAX_WIDTH 60

enum { INT8_OID = 20, INT4_OID = 23, NUMERIC_OID = 1700 };

static bool is_number(const PGresult *result, int column)
{
    Oid type = PQftype(result, column);
    return type == INT8_OID || type == INT4_OID || type == NUMERIC_OID;
}

/* Characters, not bytes: continuation bytes of UTF-8 take no column. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/* At most MAX_WIDTH characters, the cut marked with an ellipsis. What a receiver put into an error
 * must not steer the operator's terminal. */
static void print_cell(FILE *out, const char *text, int width, bool right)
{
    int length = width_of(text);
    int shown = length > MAX_WIDTH ? MAX_WIDTH - 1 : length;
    int total = length > MAX_WIDTH ? MAX_WIDTH : length;
    int padding = width > total ? width - total : 0;
    if (right)
        fprintf(out, "%*s", padding, "");
    for (int seen = 0; *text; text++) {
        seen += ((unsigned char)*text & 0xc0) != 0x80;
        if (seen > shown)
            break;
        fputc((unsigned char)*text < ' ' || *text == 127 ? '?' : *text, out);
    }
    if (length > MAX_WIDTH)
        fputs("…", out);
    if (!right)
        fprintf(out, "%*s", padding, "");
}

/* Headers are the columns' names, numbers stand to the right, control characters of values become
 * '?'. No row: `empty`. */
static void print_table(FILE *out, const PGresult *result, const char *empty)
{
    int columns = PQnfields(result) < MAX_COLUMNS ? PQnfields(result) : MAX_COLUMNS;
    int rows = PQntuples(result);
    int widths[MAX_COLUMNS] = {0};

    if (rows == 0) {
        fprintf(out, "%s\n", empty);
        return;
    }
    for (int c = 0; c < columns; c++) {
        widths[c] = width_of(PQfname(result, c));
        for (int r = 0; r < rows; r++) {
            int width = width_of(PQgetvalue(result, r, c));
            width = width > MAX_WIDTH ? MAX_WIDTH : width;
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
    for (int r = -1; r < rows; r++) {
        for (int c = 0; c < columns; c++) {
            const char *text = r < 0 ? PQfname(result, c) : PQgetvalue(result, r, c);
            bool last = c == columns - 1;
            print_cell(
                out, text, last && !is_number(result, c) ? 0 : widths[c], is_number(result, c));
            fputs(last ? "\n" : "  ", out);
        }
    }
}

int cli_print_query(const struct cli_arguments *arguments, PGconn *connection, const char *sql,
    const char *const *parameters, int count, const char *empty)
{
    AUTO_FREE char *wrapped = NULL;
    bool json = cli_flag(arguments, "json");
    if (json) {
        size_t size = strlen(sql) + 128;
        wrapped = malloc(size);
        if (!wrapped)
            return cli_complain(arguments, CLI_FAILED, "out of memory");
        snprintf(wrapped, size, "select coalesce(json_agg(row_to_json(rows)), '[]') from (%s) rows",
            sql);
    }
    AUTO_RESULT PGresult *result =
        cli_query(arguments, connection, json ? wrapped : sql, parameters, count);
    if (!result)
        return CLI_FAILED;
    if (json)
        printf("%s\n", PQgetvalue(result, 0, 0));
    else
        print_table(stdout, result, empty);
    return CLI_OK;
}

void cli_print_outcome(
    const struct cli_arguments *arguments, const PGresult *result, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    if (cli_flag(arguments, "json"))
        fputs(PQgetvalue(result, 0, 0), stdout);
    else
        vprintf(format, list);
    va_end(list);
    putchar('\n');
}
