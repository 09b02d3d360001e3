/* outbox-relay redrive, skip, replay, pause and resume: each is one function of the schema outbox.
 */
#include "outbox-relay/cli/cli_output.h"
#include "outbox-relay/cli/commands.h"
#include "shared/base/cleanup.h"
#include "shared/db/result.h"

#include <string.h>

static const struct cli_option no_options[] = {CLI_SOURCE_OPTION, CLI_JSON_OPTION};

/* What became of an event, and what can be done, for a command that wanted another state. */
static const char FATE_SQL[] =
    "select case status"
    " when 'delivered' then 'it was delivered or skipped; replay delivers retained events again'"
    " when 'pending' then 'it waits for its first attempt'"
    " when 'retrying' then 'it is being retried, next at '"
    "      || date_trunc('second', next_attempt_at) || '; skip gives up on it'"
    " when 'blocked' then 'it is blocked behind an earlier event of its key; skip gives up on it'"
    " when 'dead' then 'it used up its attempts; redrive retries it, skip gives up on it' end"
    "  from outbox.event_status where subscription = $1 and event_id = $2::uuid";

/* The event of the operands is not in the `wanted` state. */
static int refuse(const struct cli_arguments *arguments, const char *wanted)
{
    const char *parameters[] = {cli_operand(arguments, 0), cli_operand(arguments, 1)};
    AUTO_RESULT PGresult *result =
        cli_run_query(arguments, FATE_SQL, parameters, ARRAY_SIZE(parameters));
    if (!result)
        return CLI_FAILED;
    return cli_complain(arguments, CLI_FAILED, "event %s is not %s in subscription %s: %s",
        parameters[1], wanted, parameters[0],
        PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "there is no such event for it");
}

static int run_redrive(const struct cli_arguments *arguments)
{
    const char *parameters[] = {cli_operand(arguments, 0), cli_operand(arguments, 1)};
    bool all = cli_flag(arguments, "all");
    if (all == (parameters[1] != NULL))
        return cli_complain(
            arguments, CLI_USAGE_ERROR, "give an EVENT_ID, or --all for every dead event");
    if (!cli_check_event_id(arguments, parameters[1]))
        return CLI_USAGE_ERROR;
    AUTO_RESULT PGresult *result = cli_run_query(arguments,
        CLI_OUTCOME("$1::text as subscription, outbox.redrive($1, $2::uuid) as redriven"),
        parameters, 2);
    if (!result)
        return CLI_FAILED;
    const char *count = PQgetvalue(result, 0, 2);
    if (!all && strcmp(count, "0") == 0)
        return refuse(arguments, "dead");
    cli_print_outcome(arguments, result, "%s dead event%s will be retried", count,
        strcmp(count, "1") == 0 ? "" : "s");
    return CLI_OK;
}

static const struct cli_option redrive_options[] = {
    CLI_SOURCE_OPTION,
    {.name = "all", .type = CLI_FLAG, .help = "retry every dead event of the subscription"},
    CLI_JSON_OPTION,
};

const struct cli_command CMD_REDRIVE = {
    .name = "redrive",
    .operands = "NAME [EVENT_ID]",
    .min_operands = 1,
    .max_operands = 2,
    .summary = "retry dead events, with the attempt count reset",
    .details =
        "Only dead events can be redriven; an event that is being retried keeps its schedule.",
    .options = redrive_options,
    .option_count = ARRAY_SIZE(redrive_options),
    .run = run_redrive,
};

static int run_skip(const struct cli_arguments *arguments)
{
    const char *parameters[] = {cli_operand(arguments, 0), cli_operand(arguments, 1)};
    if (!cli_check_event_id(arguments, parameters[1]))
        return CLI_USAGE_ERROR;
    AUTO_RESULT PGresult *result = cli_run_query(arguments,
        CLI_OUTCOME("$1::text as subscription, $2::uuid as event_id,"
                    " outbox.skip($1, $2::uuid) = 1 as skipped"),
        parameters, 2);
    if (!result)
        return CLI_FAILED;
    if (*PQgetvalue(result, 0, 3) != 't')
        return refuse(arguments, "parked");
    cli_print_outcome(
        arguments, result, "event %s is skipped; later events of its key continue", parameters[1]);
    return CLI_OK;
}

const struct cli_command CMD_SKIP = {
    .name = "skip",
    .operands = "NAME EVENT_ID",
    .min_operands = 2,
    .max_operands = 2,
    .summary = "give up on a parked event, so that its key can continue",
    .details = "Parked events are those that are being retried, blocked or dead.",
    .options = no_options,
    .option_count = ARRAY_SIZE(no_options),
    .run = run_skip,
};

static int run_replay(const struct cli_arguments *arguments)
{
    const char *name = cli_operand(arguments, 0);
    const char *id = cli_text(arguments, "from-id");
    const char *time = cli_text(arguments, "from-time");
    bool beginning = cli_flag(arguments, "from-beginning");
    if ((id != NULL) + (time != NULL) + beginning != 1)
        return cli_complain(arguments, CLI_USAGE_ERROR,
            "give exactly one of --from-id N, --from-time TIME and --from-beginning");
    const char *parameters[] = {name, beginning ? "1" : id ? id : time};
    AUTO_CONNECTION PGconn *connection = cli_connect(arguments);
    if (!connection)
        return CLI_FAILED;
    int status = cli_check_value(arguments, connection, "from-time",
        "select $1::timestamptz is not null", "a time such as \"2026-01-31 12:00+01\"");
    if (status)
        return status;
    AUTO_RESULT PGresult *result = cli_query(arguments, connection,
        time
            ? CLI_OUTCOME("$1::text as subscription, outbox.replay($1, $2::timestamptz) as from_id")
            : CLI_OUTCOME("$1::text as subscription, outbox.replay($1, $2::bigint) as from_id"),
        parameters, 2);
    if (!result)
        return CLI_FAILED;
    if (PQgetisnull(result, 0, 2))
        cli_print_outcome(arguments, result, "nothing to replay: no retained event is that new");
    else
        cli_print_outcome(arguments, result, "subscription %s will be replayed from id %s", name,
            PQgetvalue(result, 0, 2));
    return CLI_OK;
}

static const struct cli_option replay_options[] = {
    CLI_SOURCE_OPTION,
    {.name = "from-id",
        .type = CLI_INT,
        .metavar = "N",
        .min = 1,
        .max = INT64_MAX,
        .help = "events from this id on: the CloudEvent's sequence"},
    {.name = "from-time",
        .type = CLI_TEXT,
        .metavar = "TIME",
        .help = "events emitted from this time on, in a form that PostgreSQL reads, such as "
                "`2026-01-31 12:00+01`"},
    {.name = "from-beginning", .type = CLI_FLAG, .help = "every retained event"},
    CLI_JSON_OPTION,
};

const struct cli_command CMD_REPLAY = {
    .name = "replay",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "deliver retained events again, from an id or a time",
    .details =
        "Dead events in that range are delivered again as well, unless they block their key.",
    .options = replay_options,
    .option_count = ARRAY_SIZE(replay_options),
    .run = run_replay,
};

static int run_pause(const struct cli_arguments *arguments)
{
    const char *parameters[] = {cli_operand(arguments, 0), cli_text(arguments, "reason")};
    AUTO_RESULT PGresult *result = cli_run_query(arguments,
        CLI_OUTCOME("$1::text as subscription, case when outbox.pause($1, $2) then 'paused' "
                    "else 'disabled' end as state"),
        parameters, 2);
    if (!result)
        return CLI_FAILED;
    if (strcmp(PQgetvalue(result, 0, 2), "paused") != 0)
        return cli_complain(arguments, CLI_FAILED,
            "subscription %s is disabled, so nothing is sent until it is resumed anyway",
            parameters[0]);
    cli_print_outcome(
        arguments, result, "subscription %s is paused; its events wait", parameters[0]);
    return CLI_OK;
}

static const struct cli_option pause_options[] = {
    CLI_SOURCE_OPTION,
    {.name = "reason", .type = CLI_TEXT, .metavar = "TEXT", .help = "reason to be shown by status"},
    CLI_JSON_OPTION,
};

const struct cli_command CMD_PAUSE = {
    .name = "pause",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "stop sending to a subscription; its events wait",
    .options = pause_options,
    .option_count = ARRAY_SIZE(pause_options),
    .run = run_pause,
};

static int run_resume(const struct cli_arguments *arguments)
{
    const char *name = cli_operand(arguments, 0);
    AUTO_RESULT PGresult *result = cli_run_query(arguments,
        CLI_OUTCOME("$1::text as subscription, 'active' as state from outbox.resume($1)"), &name,
        1);
    if (!result)
        return CLI_FAILED;
    cli_print_outcome(arguments, result, "subscription %s is active", name);
    return CLI_OK;
}

const struct cli_command CMD_RESUME = {
    .name = "resume",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "continue a paused or disabled subscription",
    .details = "If the endpoint was down, it is tried at once.",
    .options = no_options,
    .option_count = ARRAY_SIZE(no_options),
    .run = run_resume,
};
