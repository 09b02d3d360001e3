/* outbox-relay status: how far each subscription is, once or again and again. */
#include "outbox-relay/cli_output.h"
#include "outbox-relay/commands.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const char STATUS_SQL[] =
    "select subscription, state, lag_events, lag_seconds, retrying, blocked, dead, breaker,"
    " coalesce(state_reason, last_error) as last_error from outbox.status"
    " where $1::text is null or subscription = $1 order by subscription";
static const char STATUS_JSON_SQL[] =
    "select * from outbox.status where $1::text is null or subscription = $1"
    " order by subscription";
static const char LEASE_SQL[] =
    "select coalesce('relay: ' || holder || ', active since ' ||"
    " date_trunc('second', acquired_at) || ', epoch ' || epoch, 'relay: none was here yet')"
    " from outbox.lease";

static int print_status(const struct cli_arguments *arguments, PGconn *connection)
{
    const char *name = cli_operand(arguments, 0);
    if (cli_flag(arguments, "json"))
        return cli_print_query(arguments, connection, STATUS_JSON_SQL, &name, 1, "");
    AUTO_RESULT PGresult *lease = cli_query(arguments, connection, LEASE_SQL, NULL, 0);
    if (!lease)
        return CLI_FAILED;
    printf("%s\n\n", PQgetvalue(lease, 0, 0));
    return cli_print_query(arguments, connection, STATUS_SQL, &name, 1, "no subscription");
}

/* A name that does not exist is a mistake; a database without subscriptions is not. */
static int check_name(const struct cli_arguments *arguments, PGconn *connection)
{
    const char *name = cli_operand(arguments, 0);
    if (!name)
        return CLI_OK;
    AUTO_RESULT PGresult *result = cli_query(
        arguments, connection, "select from outbox.subscription where name = $1", &name, 1);
    if (!result)
        return CLI_FAILED;
    if (PQntuples(result) == 0)
        return cli_complain(arguments, CLI_FAILED, "there is no subscription \"%s\"", name);
    return CLI_OK;
}

static int watch(const struct cli_arguments *arguments, PGconn *connection)
{
    int64_t interval_s = 2;
    bool terminal = isatty(STDOUT_FILENO) && !cli_flag(arguments, "json");
    cli_int(arguments, "interval", &interval_s);
    for (;;) {
        if (terminal)
            printf("\033[H\033[2J");
        int status = print_status(arguments, connection);
        if (status)
            return status;
        if (fflush(stdout) != 0)
            return CLI_OK; /* the reader has gone */
        nanosleep(&(struct timespec){.tv_sec = interval_s}, NULL);
    }
}

static int run_status(const struct cli_arguments *arguments)
{
    AUTO_CONNECTION PGconn *connection = cli_connect(arguments);
    if (!connection)
        return CLI_FAILED;
    int status = check_name(arguments, connection);
    if (status)
        return status;
    if (cli_flag(arguments, "watch"))
        return watch(arguments, connection);
    return print_status(arguments, connection);
}

static const struct cli_option options[] = {
    CLI_SOURCE_OPTION,
    {.name = "watch", .type = CLI_FLAG, .help = "print again and again, until interrupted"},
    {.name = "interval",
        .type = CLI_INT,
        .metavar = "S",
        .min = 1,
        .max = 3600,
        .help = "seconds between two prints of --watch (default: 2)"},
    CLI_JSON_OPTION,
};

const struct cli_command CMD_STATUS = {
    .name = "status",
    .operands = "[NAME]",
    .max_operands = 1,
    .summary = "how far behind each subscription is, what is parked, and why",
    .details =
        "The cursor is stored about once a second while the relay is busy: an event may have been\n"
        "delivered a moment before it shows here.",
    .options = options,
    .option_count = ARRAY_SIZE(options),
    .run = run_status,
};
