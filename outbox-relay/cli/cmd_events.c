/* outbox-relay events and dead: events with what became of them. */
#include "outbox-relay/cli/cli_output.h"
#include "outbox-relay/cli/commands.h"
#include "shared/base/cleanup.h"

#include <string.h>

/* The rows of outbox.event_status, but found from the newest event backwards, so that few are
 * looked at however many there are. What can't be there is not looked for: the planner knows the
 * parameters. $1 event id, $2 subscription, $3 status, $4 type, $5 key, $6 rows; each may be null.
 */
static const char EVENTS_SQL[] =
    "with stream as ("
    " select e.id, e.event_id, e.event_type, e.aggregate_id, e.created_at,"
    "        s.name as subscription,"
    "        coalesce(d.status, case when outbox.is_settled(s, e.id, e.txid, e.created_at)"
    "                                then 'delivered' else 'pending' end) as status,"
    "        d.attempts, d.last_status, d.last_error"
    "   from outbox.event e"
    "        join outbox.subscription s on outbox.matches(s.event_types, e.event_type)"
    "             and (e.id > s.start_position or e.created_at > s.settled_at)"
    "        left join outbox.delivery d on d.subscription = s.name and d.id = e.id"
    "  where ($1::uuid is null or e.event_id = $1::uuid)"
    "    and ($2::text is null or s.name = $2)"
    "    and ($4::text is null or outbox.matches(array[$4], e.event_type))"
    "    and ($5::text is null or e.aggregate_id = $5)"
    "    and ($3::text is null or $3 in ('delivered', 'pending'))"
    "    and ($3::text is null or d.status is null"
    "         and outbox.is_settled(s, e.id, e.txid, e.created_at) = ($3 = 'delivered'))"
    "    and ($3 is distinct from 'pending'"
    "         or e.id > (select min(deep_floor) from outbox.subscription)"
    "         or e.event_id >= (select outbox.first_event_id(min(settled_at))"
    "                             from outbox.subscription))"
    "  order by e.id desc, s.name limit coalesce($6::integer, 20)"
    "), parked as ("
    " select d.id, d.event_id, d.event_type, d.aggregate_id, d.created_at, d.subscription,"
    "        d.status, d.attempts, d.last_status, d.last_error"
    "   from outbox.delivery d"
    "  where ($1::uuid is null or d.event_id = $1::uuid)"
    "    and ($2::text is null or d.subscription = $2)"
    "    and ($4::text is null or outbox.matches(array[$4], d.event_type))"
    "    and ($5::text is null or d.aggregate_id = $5)"
    "    and ($3::text is null or d.status = $3)"
    "    and ($3::text is not null or not exists ("
    "         select from outbox.event e join outbox.subscription s on s.name = d.subscription"
    "          where e.id = d.id and e.id > s.start_position"
    "            and outbox.matches(s.event_types, e.event_type)))"
    "  order by d.id desc, d.subscription limit coalesce($6::integer, 20)"
    ") select id, event_id, event_type, aggregate_id,"
    "         date_trunc('milliseconds', created_at) as created_at, subscription, status,"
    "         attempts, last_status, last_error"
    "    from (select * from (select * from stream union all select * from parked) found"
    "           order by id desc, subscription limit coalesce($6::integer, 20)) newest"
    "   order by id, subscription";

static int run_events(const struct cli_arguments *arguments)
{
    const char *parameters[] = {cli_operand(arguments, 0), cli_text(arguments, "subscription"),
        cli_text(arguments, "status"), cli_text(arguments, "type"), cli_text(arguments, "key"),
        cli_text(arguments, "limit")};
    if (!cli_check_event_id(arguments, parameters[0]))
        return CLI_USAGE_ERROR;
    AUTO_CONNECTION PGconn *connection = cli_connect(arguments);
    if (!connection)
        return CLI_FAILED;
    int status = cli_check_subscription(arguments, connection, parameters[1]);
    return status ? status
                  : cli_print_query(arguments, connection, EVENTS_SQL, parameters,
                        ARRAY_SIZE(parameters), "no such event");
}

static const struct cli_option events_options[] = {
    CLI_SOURCE_OPTION,
    {.name = "subscription",
        .type = CLI_TEXT,
        .metavar = "NAME",
        .help = "only events for this subscription"},
    {.name = "status",
        .type = CLI_TEXT,
        .metavar = "STATUS",
        .choices = "delivered|pending|retrying|blocked|dead",
        .help = "only this status: `delivered`, `pending`, `retrying`, `blocked` or `dead`"},
    {.name = "type",
        .type = CLI_TEXT,
        .metavar = "TYPE",
        .help = "only this event type, or a prefix such as `order.*`"},
    {.name = "key", .type = CLI_TEXT, .metavar = "ID", .help = "only this aggregate id"},
    {.name = "limit",
        .type = CLI_INT,
        .metavar = "N",
        .min = 1,
        .max = 10000,
        .help = "maximum rows to show, the newest (default: 20)"},
    CLI_JSON_OPTION,
};

const struct cli_command CMD_EVENTS = {
    .name = "events",
    .operands = "[EVENT_ID]",
    .max_operands = 1,
    .summary = "list events and their delivery status",
    .details =
        "Shows a row for each event and subscription that wants it, in the order of emit. EVENT_ID "
        "is the CloudEvent's id, a UUID. `pending` is an event that waits for its first attempt, "
        "`retrying` one that was refused and will be retried, `blocked` one that waits behind a "
        "refused event of its "
        "key, and `dead` one that has used up its attempts. Events that were skipped show as "
        "`delivered`.",
    .options = events_options,
    .option_count = ARRAY_SIZE(events_options),
    .run = run_events,
};

/* Parked events: what an operator may have to decide about. */
static const char DEAD_SQL[] =
    "select subscription, event_id, event_type, aggregate_id, status, attempts, last_status,"
    " date_trunc('second', last_attempt_at) as last_attempt_at,"
    " date_trunc('second', next_attempt_at) as next_attempt_at, last_error"
    "  from outbox.delivery"
    " where ($1::text is null or subscription = $1) and (status = 'dead' or $2::boolean)"
    " order by subscription, id limit coalesce($3::integer, 100)";

static int run_dead(const struct cli_arguments *arguments)
{
    const char *parameters[] = {cli_operand(arguments, 0),
        cli_flag(arguments, "all") ? "true" : "false", cli_text(arguments, "limit")};
    AUTO_CONNECTION PGconn *connection = cli_connect(arguments);
    if (!connection)
        return CLI_FAILED;
    int status = cli_check_subscription(arguments, connection, parameters[0]);
    return status ? status
                  : cli_print_query(arguments, connection, DEAD_SQL, parameters,
                        ARRAY_SIZE(parameters),
                        cli_flag(arguments, "all")
                            ? "no parked events"
                            : "no dead events (--all shows events being retried or blocked)");
}

static const struct cli_option dead_options[] = {
    CLI_SOURCE_OPTION,
    {.name = "all",
        .type = CLI_FLAG,
        .help = "all parked events: also those being retried or blocked"},
    {.name = "limit",
        .type = CLI_INT,
        .metavar = "N",
        .min = 1,
        .max = 10000,
        .help = "maximum rows to show, oldest first within a subscription (default: 100)"},
    CLI_JSON_OPTION,
};

const struct cli_command CMD_DEAD = {
    .name = "dead",
    .operands = "[NAME]",
    .max_operands = 1,
    .summary = "list dead events: those that used up their attempts",
    .details = "`redrive` retries a dead event, `skip` gives up on it.",
    .options = dead_options,
    .option_count = ARRAY_SIZE(dead_options),
    .run = run_dead,
};
