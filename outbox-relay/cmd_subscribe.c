/* outbox-relay subscribe, unsubscribe and subscriptions. */
#include "outbox-relay/allow.h"
#include "outbox-relay/cli_db.h"
#include "outbox-relay/cli_output.h"
#include "outbox-relay/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECRET_MAX 1024

static const char SUBSCRIBE_SQL[] =
    "select created, new_secret from outbox.subscribe(name => $1, url => $2,"
    " event_types => (select array_agg(btrim(t)) from unnest(string_to_array($3, ',')) t),"
    " batch_size => $4::integer, max_in_flight => $5::integer, timeout_ms => $6::integer,"
    " max_attempts => $7::integer, retry_base_ms => $8::integer, retry_max_ms => $9::integer,"
    " on_dead => $10, secret => $11, from_beginning => $12::boolean)";

/* The first line of a file. Returns NULL after telling why; else `buffer`. */
static const char *read_secret(
    const struct cli_arguments *arguments, const char *path, char buffer[SECRET_MAX])
{
    FILE *file = fopen(path, "re");
    if (!file || !fgets(buffer, SECRET_MAX, file)) {
        cli_complain(arguments, CLI_FAILED, "--secret-file %s: %s", path,
            errno ? strerror(errno) : "it is empty");
        buffer = NULL;
    } else {
        buffer[strcspn(buffer, "\r\n")] = '\0';
    }
    if (file)
        fclose(file);
    return buffer;
}

/* The table's constraints say the same, in words for programmers. */
static int check_use(const struct cli_arguments *arguments)
{
    static const char name_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    const char *name = cli_operand(arguments, 0);
    const char *url = cli_text(arguments, "url");
    const char *types = cli_text(arguments, "types");

    if (!*name || strlen(name) > 63 || name[strspn(name, name_letters)] || strchr("._-", *name))
        return cli_complain(arguments, CLI_WRONG_USE,
            "the name \"%s\" must be 1 to 63 of a-z, 0-9, '.', '_' and '-', and begin with a "
            "letter or digit",
            name);
    if (url && !allow_url("", url))
        return cli_complain(arguments, CLI_WRONG_USE,
            "--url: \"%s\" is no http:// or https:// URL with a host and without a user", url);
    if (types &&
        (!*types || *types == ',' || strstr(types, ",,") || types[strlen(types) - 1] == ','))
        return cli_complain(
            arguments, CLI_WRONG_USE, "--types: \"%s\" has an empty event type", types);
    if (cli_text(arguments, "secret-ref") && cli_text(arguments, "secret-file"))
        return cli_complain(
            arguments, CLI_WRONG_USE, "--secret-ref and --secret-file exclude each other");
    return CLI_OK;
}

static int print_subscribed(
    const struct cli_arguments *arguments, PGconn *connection, const PGresult *result)
{
    bool created = *PQgetvalue(result, 0, 0) == 't';
    const char *made = PQgetisnull(result, 0, 1) ? NULL : PQgetvalue(result, 0, 1);
    const char *parameters[] = {cli_operand(arguments, 0), created ? "true" : "false", made};
    if (cli_flag(arguments, "json"))
        return cli_print_query(arguments, connection,
            "select name, url, event_types, batch_size, max_in_flight, timeout_ms, max_attempts,"
            " retry_base_ms, retry_max_ms, on_dead, state, $2::boolean as created,"
            " $3::text as new_secret from outbox.subscription where name = $1",
            parameters, ARRAY_SIZE(parameters), "");
    if (created)
        printf("subscription %s created; it starts with %s\n", parameters[0],
            cli_flag(arguments, "from-beginning") ? "the oldest event" : "the next event");
    else
        printf("subscription %s changed; its cursor stays\n", parameters[0]);
    if (made)
        printf("signing secret, for the receiver: %s\n", made);
    return CLI_OK;
}

static int run_subscribe(const struct cli_arguments *arguments)
{
    char secret_text[SECRET_MAX];
    const char *secret = cli_text(arguments, "secret-ref");
    const char *secret_file = cli_text(arguments, "secret-file");
    int status = check_use(arguments);
    if (status)
        return status;
    if (secret_file && !(secret = read_secret(arguments, secret_file, secret_text)))
        return CLI_FAILED;
    if (!secret)
        secret = getenv("OUTBOX_SUBSCRIPTION_SECRET");

    const char *parameters[] = {cli_operand(arguments, 0), cli_text(arguments, "url"),
        cli_text(arguments, "types"), cli_text(arguments, "batch-size"),
        cli_text(arguments, "max-in-flight"), cli_text(arguments, "timeout-ms"),
        cli_text(arguments, "max-attempts"), cli_text(arguments, "retry-base-ms"),
        cli_text(arguments, "retry-max-ms"), cli_text(arguments, "on-dead"), secret,
        cli_flag(arguments, "from-beginning") ? "true" : "false"};
    AUTO_CONNECTION PGconn *connection = cli_connect(arguments);
    if (!connection)
        return CLI_FAILED;
    AUTO_RESULT PGresult *result =
        cli_query(arguments, connection, SUBSCRIBE_SQL, parameters, ARRAY_SIZE(parameters));
    return result ? print_subscribed(arguments, connection, result) : CLI_FAILED;
}

static const struct cli_option subscribe_options[] = {
    CLI_SOURCE_OPTION,
    {.name = "url",
        .type = CLI_TEXT,
        .metavar = "URL",
        .help = "callback that events are POSTed to; a new subscription needs one"},
    {.name = "types",
        .type = CLI_TEXT,
        .metavar = "TYPES",
        .help = "event types, separated by commas: exact, prefixes as order.*, or * (default: *)"},
    {.name = "batch-size",
        .type = CLI_INT,
        .metavar = "N",
        .min = 1,
        .max = 1000,
        .help = "most events in one request; above 1, CloudEvents batches (default: 1)"},
    {.name = "max-in-flight",
        .type = CLI_INT,
        .metavar = "N",
        .min = 1,
        .max = 256,
        .help = "requests under way at the same time; keys are spread over them (default: 8)"},
    {.name = "timeout-ms",
        .type = CLI_INT,
        .metavar = "N",
        .min = 10,
        .max = 600000,
        .help = "how long one request may take (default: 10000)"},
    {.name = "max-attempts",
        .type = CLI_INT,
        .metavar = "N",
        .min = 1,
        .max = 1000,
        .help = "attempts of a refused event before it is dead (default: 12)"},
    {.name = "retry-base-ms",
        .type = CLI_INT,
        .metavar = "N",
        .min = 1,
        .max = 86400000,
        .help = "wait before the first retry; doubles with each (default: 1000)"},
    {.name = "retry-max-ms",
        .type = CLI_INT,
        .metavar = "N",
        .min = 1,
        .max = 604800000,
        .help = "longest wait between two retries (default: 600000)"},
    {.name = "on-dead",
        .type = CLI_TEXT,
        .metavar = "POLICY",
        .choices = "skip|block",
        .help = "skip: the key goes on after a dead event; block: it stays (default: skip)"},
    {.name = "secret-file",
        .type = CLI_TEXT,
        .metavar = "PATH",
        .help =
            "file with the signing secret (whsec_ and base64), which is stored in the database"},
    {.name = "secret-ref",
        .type = CLI_TEXT,
        .metavar = "REF",
        .help = "file:/path or env:NAME, from where the relay reads the secret itself"},
    {.name = "from-beginning",
        .type = CLI_FLAG,
        .help = "start a new subscription with the oldest retained event"},
    CLI_JSON_OPTION,
};

const struct cli_command CMD_SUBSCRIBE = {
    .name = "subscribe",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "make a subscription, or change one (its cursor stays)",
    .details =
        "Without a secret (also $OUTBOX_SUBSCRIPTION_SECRET) a new one is made and printed once.\n"
        "What is not given keeps its value, or the default in a new subscription.",
    .options = subscribe_options,
    .option_count = ARRAY_SIZE(subscribe_options),
    .run = run_subscribe,
};

static int run_unsubscribe(const struct cli_arguments *arguments)
{
    const char *name = cli_operand(arguments, 0);
    AUTO_RESULT PGresult *result = cli_run_query(arguments,
        CLI_OUTCOME("$1::text as subscription, true as removed from outbox.unsubscribe($1)"), &name,
        1);
    if (!result)
        return CLI_FAILED;
    cli_print_outcome(arguments, result,
        "subscription %s removed, with its cursor, secrets and parked events", name);
    return CLI_OK;
}

static const char SUBSCRIPTIONS_SQL[] =
    "select name, url, array_to_string(event_types, ',') as types, state, batch_size,"
    " max_in_flight, timeout_ms, max_attempts, retry_base_ms, retry_max_ms, on_dead"
    "  from outbox.subscription where $1::text is null or name = $1 order by name";

static int run_subscriptions(const struct cli_arguments *arguments)
{
    const char *name = cli_operand(arguments, 0);
    AUTO_CONNECTION PGconn *connection = cli_connect(arguments);
    if (!connection)
        return CLI_FAILED;
    return cli_print_query(
        arguments, connection, SUBSCRIPTIONS_SQL, &name, 1, "no such subscription");
}

static const struct cli_option subscriptions_options[] = {CLI_SOURCE_OPTION, CLI_JSON_OPTION};

const struct cli_command CMD_SUBSCRIPTIONS = {
    .name = "subscriptions",
    .operands = "[NAME]",
    .max_operands = 1,
    .summary = "the subscriptions with all their settings",
    .options = subscriptions_options,
    .option_count = ARRAY_SIZE(subscriptions_options),
    .run = run_subscriptions,
};

static const struct cli_option unsubscribe_options[] = {CLI_SOURCE_OPTION, CLI_JSON_OPTION};

const struct cli_command CMD_UNSUBSCRIBE = {
    .name = "unsubscribe",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "remove a subscription with its cursor, secrets and parked events",
    .options = unsubscribe_options,
    .option_count = ARRAY_SIZE(unsubscribe_options),
    .run = run_unsubscribe,
};
