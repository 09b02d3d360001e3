/* outbox-relay status: how far each subscription is, once or again and again. */
#include "outbox-relay/base/locks.h"
#include "outbox-relay/cli/cli_output.h"
#include "outbox-relay/cli/commands.h"
#include "shared/base/cleanup.h"
#include "shared/db/result.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char STATUS_SQL[] =
    "select subscription, state, lag_events, lag_seconds, retrying, blocked, dead, breaker,"
    " coalesce(state_reason, last_error) as last_error from outbox.status"
    " where $1::text is null or subscription = $1 order by subscription";
static const char STATUS_JSON_SQL[] =
    "select * from outbox.status where $1::text is null or subscription = $1"
    " order by subscription";

/* The lease is a lock of the relay's session, or in poll mode a row with an end. */
#define IS_ACTIVE \
    "(valid_until > now() or exists (select from pg_locks where locktype = 'advisory'" \
    " and (classid, objid, objsubid) = (" LEASE_LOCK ", 2) and granted" \
    " and database = (select oid from pg_database where datname = current_database())))"

static const char LEASE_SQL[] =
    "select case when acquired_at is null then 'no active relay; none has run yet'"
    " when " IS_ACTIVE " is not true then 'no active relay; the last one started at '"
    " || date_trunc('second', acquired_at) || ', epoch ' || epoch"
    " else 'active relay: ' || holder || ', since ' || date_trunc('second', acquired_at)"
    " || ', epoch ' || epoch end from outbox.lease";

/* $1 subscription or null, $2 seconds. One row for each problem that needs attention. */
static const char CHECK_SQL[] =
    "with s as materialized (select * from outbox.status)"
    " select 'no active relay' as problem from outbox.lease where " IS_ACTIVE " is not true"
    " union all select problem || ' (' || command || ')' from outbox.guard()"
    " union all select subscription || p.problem from s, lateral (values"
    " (state = 'disabled', ' is disabled: ' || coalesce(state_reason, '')),"
    " (breaker = 'open' and state = 'active', ': the endpoint is down: ' || coalesce(last_error, "
    "'')),"
    " (dead > 0, ': ' || dead || case dead when 1 then ' dead event' else ' dead events' end),"
    " (lag_seconds > $2::numeric, ': ' || lag_seconds || ' s behind')) p(present, problem)"
    " where present and ($1::text is null or subscription = $1)";

static int print_status(const struct cli_arguments *arguments, PGconn *connection)
{
    const char *name = cli_operand(arguments, 0);
    if (cli_flag(arguments, "json"))
        return cli_print_query(arguments, connection, STATUS_JSON_SQL, &name, 1, "");
    AUTO_RESULT PGresult *lease = cli_query(arguments, connection, LEASE_SQL, NULL, 0);
    if (!lease)
        return CLI_FAILED;
    printf("%s\n\n", PQgetvalue(lease, 0, 0));
    return cli_print_query(arguments, connection, STATUS_SQL, &name, 1, "no subscriptions");
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
        int error = cli_flush();
        if (error == -EPIPE)
            return CLI_OK; /* the reader has gone */
        if (error)
            return cli_complain(arguments, CLI_FAILED, CLI_OUTPUT_LOST, strerror(-error));
        nanosleep(&(struct timespec){.tv_sec = interval_s}, NULL);
    }
}

/* For monitoring: a line for each problem; the exit status says whether there is one. */
static int check_health(const struct cli_arguments *arguments, PGconn *connection)
{
    const char *limit = cli_text(arguments, "max-lag");
    const char *parameters[] = {cli_operand(arguments, 0), limit ? limit : "300"};
    AUTO_RESULT PGresult *result =
        cli_query(arguments, connection, CHECK_SQL, parameters, ARRAY_SIZE(parameters));
    if (!result)
        return CLI_FAILED;
    for (int row = 0; row < PQntuples(result); row++)
        printf("%s\n", PQgetvalue(result, row, 0));
    if (PQntuples(result) > 0)
        return CLI_FAILED;
    printf("ok\n");
    return CLI_OK;
}

static int run_status(const struct cli_arguments *arguments)
{
    if (cli_flag(arguments, "check") &&
        (cli_flag(arguments, "watch") || cli_flag(arguments, "json")))
        return cli_complain(
            arguments, CLI_USAGE_ERROR, "--check cannot be combined with --watch or --json");
    if (cli_text(arguments, "max-lag") && !cli_flag(arguments, "check"))
        return cli_complain(arguments, CLI_USAGE_ERROR, "--max-lag needs --check");
    if (cli_text(arguments, "interval") && !cli_flag(arguments, "watch"))
        return cli_complain(arguments, CLI_USAGE_ERROR, "--interval needs --watch");
    AUTO_CONNECTION PGconn *connection = cli_connect(arguments);
    if (!connection)
        return CLI_FAILED;
    int status = cli_check_subscription(arguments, connection, cli_operand(arguments, 0));
    if (status)
        return status;
    if (cli_flag(arguments, "check"))
        return check_health(arguments, connection);
    if (cli_flag(arguments, "watch"))
        return watch(arguments, connection);
    return print_status(arguments, connection);
}

static const struct cli_option options[] = {
    CLI_SOURCE_OPTION,
    {.name = "watch", .type = CLI_FLAG, .help = "print again and again until interrupted"},
    {.name = "interval",
        .type = CLI_INT,
        .metavar = "S",
        .min = 1,
        .max = 3600,
        .help = "with --watch, seconds between two prints (default: 2)"},
    {.name = "check",
        .type = CLI_FLAG,
        .help = "for monitoring: print each problem that needs attention on a line of its own and "
                "exit with 1; otherwise print `ok` and exit with 0"},
    {.name = "max-lag",
        .type = CLI_INT,
        .metavar = "S",
        .min = 0,
        .max = 31536000,
        .help = "with --check, the lag in seconds that is still acceptable (default: 300)"},
    CLI_JSON_OPTION,
};

const struct cli_command CMD_STATUS = {
    .name = "status",
    .operands = "[NAME]",
    .max_operands = 1,
    .summary = "show the lag, parked events and last error of each subscription",
    .details =
        "Parked events (retrying, blocked, dead) are not part of the lag. `last_error` stays after "
        "the problem is over.\n\n"
        "The relay stores its cursors at most five times a second, so an event may have been "
        "delivered a moment before it shows here. If more than 10,000 events (of any type) follow "
        "the cursor, the lag is an upper bound.\n\n"
        "--check reports that no relay is active, and of each subscription that it is disabled, "
        "that its endpoint is down, that it has dead events, or that its lag is too large.",
    .options = options,
    .option_count = ARRAY_SIZE(options),
    .run = run_status,
};
