/* outbox-relay adopt and repair: what an operator does after a database was moved, copied or
 * restored. */
#include "outbox-relay/cli/cli_output.h"
#include "outbox-relay/cli/commands.h"
#include "shared/base/cleanup.h"
#include "shared/db/result.h"

#include <string.h>

/* The object is wanted for --json alone, where there is one array for all steps. */
static const char REPAIR_JSON_SQL[] =
    "select coalesce(json_agg(json_build_object('problem', problem, 'action', action, 'done', "
    "$1::boolean)), '[]') from outbox.repair($1::boolean)";
static const char REPAIR_SQL[] = "select problem, action from outbox.repair($1::boolean)";

static void print_steps(const PGresult *steps, bool apply)
{
    int count = PQntuples(steps);
    for (int row = 0; row < count; row++)
        printf("%s\n    %s: %s\n", PQgetvalue(steps, row, 0), apply ? "done" : "would",
            PQgetvalue(steps, row, 1));
    if (count == 0)
        puts("nothing to repair");
    else if (!apply)
        puts("\nNothing has been changed. Run the command again with --yes to do it.");
}

static int run_repair(const struct cli_arguments *arguments)
{
    bool apply = cli_flag(arguments, "yes"), json = cli_flag(arguments, "json");
    const char *parameters[] = {apply ? "true" : "false"};
    AUTO_RESULT PGresult *steps =
        cli_run_query(arguments, json ? REPAIR_JSON_SQL : REPAIR_SQL, parameters, 1);
    if (!steps)
        return CLI_FAILED;
    if (json)
        puts(PQgetvalue(steps, 0, 0));
    else
        print_steps(steps, apply);
    return CLI_OK;
}

static const struct cli_option repair_options[] = {
    CLI_SOURCE_OPTION,
    {.name = "yes", .type = CLI_FLAG, .help = "make the changes; without it they are only shown"},
    CLI_JSON_OPTION,
};

const struct cli_command CMD_REPAIR = {
    .name = "repair",
    .operands = "",
    .summary = "make sequence, cursors and partitions fit each other again",
    .details =
        "Run it when the relay or 'status --check' says so: event ids have begun anew, or "
        "outbox.partition does not fit the tables. It shows each step, and with --yes takes it. "
        "While it works, calls of outbox.emit wait.",
    .options = repair_options,
    .option_count = ARRAY_SIZE(repair_options),
    .run = run_repair,
};

static int run_adopt(const struct cli_arguments *arguments)
{
    bool moved = cli_flag(arguments, "moved");
    if (moved == cli_flag(arguments, "copied"))
        return cli_complain(arguments, CLI_USAGE_ERROR, "give either --moved or --copied");
    const char *parameters[] = {moved ? "moved" : "copied"};
    AUTO_RESULT PGresult *result = cli_run_query(arguments,
        CLI_OUTCOME("current_database() as database, $1::text as adopted,"
                    " outbox.is_origin() as was_at_home, outbox.adopt($1) as paused"),
        parameters, 1);
    if (!result)
        return CLI_FAILED;
    if (*PQgetvalue(result, 0, 3) == 't')
        cli_print_outcome(arguments, result,
            "nothing to do: the outbox belongs to database %s already", PQgetvalue(result, 0, 1));
    else if (moved)
        cli_print_outcome(arguments, result,
            "the outbox belongs to database %s now; delivery goes on from the cursors",
            PQgetvalue(result, 0, 1));
    else
        cli_print_outcome(arguments, result,
            "the outbox belongs to database %s now; paused subscriptions: %s\n"
            "Give each a URL of its own before you resume it.",
            PQgetvalue(result, 0, 1), PQgetvalue(result, 0, 4));
    return CLI_OK;
}

static const struct cli_option adopt_options[] = {
    CLI_SOURCE_OPTION,
    {.name = "moved",
        .type = CLI_FLAG,
        .help = "this database takes the place of the one it came from; delivery goes on"},
    {.name = "copied",
        .type = CLI_FLAG,
        .help = "this database is a copy beside the original; all its subscriptions are paused"},
    CLI_JSON_OPTION,
};

const struct cli_command CMD_ADOPT = {
    .name = "adopt",
    .operands = "",
    .summary = "say whether a database was moved here or copied",
    .details =
        "An outbox knows the database that it was installed in, by the cluster's system "
        "identifier and the database's oid. After a restore, a copy or pg_upgrade these differ, "
        "and the relay sends nothing until this command has said what the database is. A promoted "
        "standby needs no such word.",
    .options = adopt_options,
    .option_count = ARRAY_SIZE(adopt_options),
    .run = run_adopt,
};
