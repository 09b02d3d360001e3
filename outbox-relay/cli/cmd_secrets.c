/* outbox-relay secrets: which there are (never their values), and rotation. */
#include "outbox-relay/cli/cli_output.h"
#include "outbox-relay/cli/commands.h"
#include "shared/base/cleanup.h"
#include "shared/db/result.h"

static const char LIST_SQL[] =
    "select subscription, fingerprint, kept_as, date_trunc('second', created_at) as created_at,"
    " date_trunc('second', valid_until) as valid_until, valid from outbox.secret_status"
    " where $1::text is null or subscription = $1 order by subscription, id";

static int rotate(const struct cli_arguments *arguments, PGconn *connection)
{
    const char *name = cli_operand(arguments, 0);
    const char *overlap = cli_text(arguments, "overlap");
    const char *parameters[] = {name, overlap ? overlap : "1 day"};
    int status = cli_check_value(arguments, connection, "overlap",
        "select now() + $1::interval >= now()", "a length of time such as \"2 hours\"");
    if (status)
        return status;
    if (!cli_begin(arguments, connection))
        return CLI_FAILED;
    AUTO_RESULT PGresult *rotated = cli_query(arguments, connection,
        CLI_OUTCOME("$1::text as subscription,"
                    " outbox.rotate_secret($1, overlap => $2::interval) as secret,"
                    " $2::interval as overlap"),
        parameters, 2);
    if (!rotated)
        return CLI_FAILED;
    cli_print_outcome(arguments, rotated,
        "new signing secret for the receiver: %s\n"
        "requests are signed with the old secret as well for %s",
        PQgetvalue(rotated, 0, 2), parameters[1]);
    return cli_commit_shown(arguments, connection);
}

static int run_secrets(const struct cli_arguments *arguments)
{
    const char *name = cli_operand(arguments, 0);
    bool rotating = cli_flag(arguments, "rotate");
    if (rotating && !name)
        return cli_complain(
            arguments, CLI_USAGE_ERROR, "--rotate needs the NAME of a subscription");
    if (!rotating && cli_text(arguments, "overlap"))
        return cli_complain(arguments, CLI_USAGE_ERROR, "--overlap needs --rotate");
    AUTO_CONNECTION PGconn *connection = cli_connect(arguments);
    if (!connection)
        return CLI_FAILED;
    if (rotating)
        return rotate(arguments, connection);
    int status = cli_check_subscription(arguments, connection, name);
    return status ? status
                  : cli_print_query(arguments, connection, LIST_SQL, &name, 1, "no secrets");
}

static const struct cli_option options[] = {
    CLI_SOURCE_OPTION,
    {.name = "rotate",
        .type = CLI_FLAG,
        .help = "create a new secret and print it; the old one stays valid for the overlap"},
    {.name = "overlap",
        .type = CLI_TEXT,
        .metavar = "TIME",
        .help = "how long both are valid, such as `2 hours` (default: 1 day)"},
    CLI_JSON_OPTION,
};

const struct cli_command CMD_SECRETS = {
    .name = "secrets",
    .operands = "[NAME]",
    .max_operands = 1,
    .summary = "list or rotate signing secrets",
    .details =
        "Lists no secret itself, but its fingerprint: the first 12 hexadecimal digits of the "
        "SHA-256 of its text, `whsec_` included. At most two secrets of a subscription are valid "
        "at a time: a rotation before the last overlap is over ends the older one at once. "
        "Requests carry a signature for each valid secret.",
    .options = options,
    .option_count = ARRAY_SIZE(options),
    .run = run_secrets,
};
