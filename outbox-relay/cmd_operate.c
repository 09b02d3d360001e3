/* outbox-relay redrive, skip, replay, pause and resume: each is one function of the schema outbox.
 */
#include "outbox-relay/cli_output.h"
#include "outbox-relay/commands.h"
#include "shared/db/result.h"

#include <string.h>

static const struct cli_option no_options[] = {CLI_SOURCE_OPTION, CLI_JSON_OPTION};

static int run_redrive(const struct cli_arguments *arguments)
{
    const char *parameters[] = {cli_operand(arguments, 0), cli_operand(arguments, 1)};
    bool all = cli_flag(arguments, "all");
    if (all == (parameters[1] != NULL))
        return cli_complain(
            arguments, CLI_WRONG_USE, "name one EVENT_ID, or give --all for every dead event");
    if (!cli_check_event_id(arguments, parameters[1]))
        return CLI_WRONG_USE;
    AUTO_RESULT PGresult *result = cli_run_query(arguments,
        CLI_OUTCOME("$1::text as subscription, outbox.redrive($1, $2::uuid) as redriven"),
        parameters, 2);
    if (!result)
        return CLI_FAILED;
    const char *count = PQgetvalue(result, 0, 2);
    if (!all && strcmp(count, "0") == 0)
        return cli_complain(arguments, CLI_FAILED, "event %s is not dead in subscription %s",
            parameters[1], parameters[0]);
    cli_print_outcome(arguments, result, "%s dead event%s will be tried again", count,
        strcmp(count, "1") == 0 ? "" : "s");
    return CLI_OK;
}

static const struct cli_option redrive_options[] = {
    CLI_SOURCE_OPTION,
    {.name = "all", .type = CLI_FLAG, .help = "every dead event of the subscription"},
    CLI_JSON_OPTION,
};

const struct cli_command CMD_REDRIVE = {
    .name = "redrive",
    .operands = "NAME [EVENT_ID]",
    .min_operands = 1,
    .max_operands = 2,
    .summary = "try dead events again, with fresh attempts",
    .options = redrive_options,
    .option_count = ARRAY_SIZE(redrive_options),
    .run = run_redrive,
};

static int run_skip(const struct cli_arguments *arguments)
{
    const char *parameters[] = {cli_operand(arguments, 0), cli_operand(arguments, 1)};
    if (!cli_check_event_id(arguments, parameters[1]))
        return CLI_WRONG_USE;
    AUTO_RESULT PGresult *result = cli_run_query(arguments,
        CLI_OUTCOME("$1::text as subscription, $2::uuid as event_id,"
                    " outbox.skip($1, $2::uuid) = 1 as skipped"),
        parameters, 2);
    if (!result)
        return CLI_FAILED;
    if (*PQgetvalue(result, 0, 3) != 't')
        return cli_complain(arguments, CLI_FAILED, "event %s is not parked in subscription %s",
            parameters[1], parameters[0]);
    cli_print_outcome(arguments, result, "event %s is given up; its key goes on", parameters[1]);
    return CLI_OK;
}

const struct cli_command CMD_SKIP = {
    .name = "skip",
    .operands = "NAME EVENT_ID",
    .min_operands = 2,
    .max_operands = 2,
    .summary = "give up a parked event for good, so that its key goes on",
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
        return cli_complain(arguments, CLI_WRONG_USE,
            "give one of --from-id N, --from-time TIME and --from-beginning");
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
        cli_print_outcome(arguments, result, "subscription %s is replayed from id %s on", name,
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
        .help = "first id (the CloudEvent's sequence) to deliver again"},
    {.name = "from-time",
        .type = CLI_TEXT,
        .metavar = "TIME",
        .help = "events emitted from then on, as PostgreSQL reads it: \"2026-01-31 12:00+01\""},
    {.name = "from-beginning", .type = CLI_FLAG, .help = "every retained event"},
    CLI_JSON_OPTION,
};

const struct cli_command CMD_REPLAY = {
    .name = "replay",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "deliver retained events once more, from an id or a time",
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
            "subscription %s is disabled and stays so: nothing is sent until it is resumed",
            parameters[0]);
    cli_print_outcome(
        arguments, result, "subscription %s is paused; nothing is lost", parameters[0]);
    return CLI_OK;
}

static const struct cli_option pause_options[] = {
    CLI_SOURCE_OPTION,
    {.name = "reason", .type = CLI_TEXT, .metavar = "TEXT", .help = "shown by status"},
    CLI_JSON_OPTION,
};

const struct cli_command CMD_PAUSE = {
    .name = "pause",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "stop sending to a subscription; its cursor stays",
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
    .summary = "go on with a paused or disabled subscription",
    .options = no_options,
    .option_count = ARRAY_SIZE(no_options),
    .run = run_resume,
};
