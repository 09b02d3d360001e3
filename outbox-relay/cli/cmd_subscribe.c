/* outbox-relay subscribe, unsubscribe and subscriptions. */
#include "outbox-relay/cli/cli_db.h"
#include "outbox-relay/cli/cli_output.h"
#include "outbox-relay/cli/commands.h"
#include "outbox-relay/engine/allow.h"
#include "shared/base/cleanup.h"
#include "shared/base/utf8.h"
#include "shared/base/webhook.h"
#include "shared/db/result.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECRET_MAX 1024
#define SECRET_VARIABLE "OUTBOX_SUBSCRIPTION_SECRET"
#define SECRET_FORM "secret (whsec_ and the base64 of 24 to 64 bytes)"
#define URL_MAX 2048
#define TYPES_MAX 1000

static const char SUBSCRIBE_SQL[] =
    "select created, new_secret from outbox.subscribe(name => $1, url => $2,"
    " event_types => (select array_agg(btrim(t)) from unnest(string_to_array($3, ',')) t),"
    " batch_size => $4::integer, max_in_flight => $5::integer, timeout_ms => $6::integer,"
    " max_attempts => $7::integer, retry_base_ms => $8::integer, retry_max_ms => $9::integer,"
    " on_dead => $10, secret => $11, from_beginning => $12::boolean)";

/* What is given -----------------------------------------------------------------------------------
 * The database's constraints say the same, in words for programmers. */

static bool check_url(const char *text, char ret_mistake[CLI_MISTAKE_SIZE])
{
    size_t length;
    bool begins = strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
    if (begins && !text[strcspn(text, " \t\r\n\v\f")] && allow_url("", text) &&
        (!utf8_valid(text, &length) || length <= URL_MAX))
        return true;
    snprintf(ret_mistake, CLI_MISTAKE_SIZE,
        "must be an http:// or https:// URL with a host and without a user, of at most %d "
        "characters",
        URL_MAX);
    return false;
}

/* "order.created", "order.*" or "*"; elsewhere a '*' would match nothing. */
static bool type_is_valid(const char *type, size_t length)
{
    const char *star = memchr(type, '*', length);
    for (size_t i = 0; i < length; i++)
        if (iscntrl((unsigned char)type[i]))
            return false;
    if (!star || length == 1)
        return length > 0;
    return length > 2 && star == type + length - 1 && star[-1] == '.';
}

static bool check_types(const char *text, char ret_mistake[CLI_MISTAKE_SIZE])
{
    for (int count = 1; count <= TYPES_MAX; count++) {
        size_t length = strcspn(text, ","), begin = strspn(text, " "), end = length;
        while (end > begin && text[end - 1] == ' ')
            end--;
        if (begin >= end || !type_is_valid(text + begin, end - begin)) {
            snprintf(ret_mistake, CLI_MISTAKE_SIZE,
                "\"%.*s\" is not an event type, a prefix that ends in \".*\", or \"*\"",
                (int)(length < 100 ? length : 100), text);
            return false;
        }
        if (!text[length])
            return true;
        text += length + 1;
    }
    snprintf(ret_mistake, CLI_MISTAKE_SIZE, "more than %d event types", TYPES_MAX);
    return false;
}

static bool is_reference(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    if (strncmp(text, "file:/", 6) == 0)
        return text[6] != '\0';
    return strncmp(text, "env:", 4) == 0 && text[4] && !isdigit((unsigned char)text[4]) &&
           !text[4 + strspn(text + 4, letters)];
}

static bool check_reference(const char *text, char ret_mistake[CLI_MISTAKE_SIZE])
{
    snprintf(ret_mistake, CLI_MISTAKE_SIZE, "must be file:/PATH or env:NAME");
    return is_reference(text);
}

static bool is_secret(const char *text)
{
    struct webhook_key key;
    bool valid = webhook_key_parse(text, &key) == 0;
    explicit_bzero(&key, sizeof key);
    return valid;
}

/* The first word of a file. Returns a cli_exit, not CLI_OK after telling why. */
static int read_secret(
    const struct cli_arguments *arguments, const char *path, char buffer[SECRET_MAX])
{
    FILE *file = fopen(path, "re");
    bool read = file && fgets(buffer, SECRET_MAX, file);
    int error = !file || ferror(file) ? errno : 0;
    if (file)
        fclose(file);
    if (error)
        return cli_complain(arguments, CLI_FAILED, "--secret-file %s: %s", path, strerror(error));
    if (!read)
        return cli_complain(arguments, CLI_USAGE_ERROR, "--secret-file %s is empty", path);
    buffer[strcspn(buffer, " \t\r\n")] = '\0';
    if (!is_secret(buffer))
        return cli_complain(
            arguments, CLI_USAGE_ERROR, "--secret-file %s has no " SECRET_FORM, path);
    return CLI_OK;
}

/* *ret_secret is NULL when none is given; it may be `buffer`. Returns a cli_exit. */
static int find_secret(
    const struct cli_arguments *arguments, char buffer[SECRET_MAX], const char **ret_secret)
{
    const char *file = cli_text(arguments, "secret-file");
    const char *reference = cli_text(arguments, "secret-ref");
    const char *variable = getenv(SECRET_VARIABLE);

    if (reference && file)
        return cli_complain(
            arguments, CLI_USAGE_ERROR, "--secret-ref and --secret-file exclude each other");
    *ret_secret = file ? buffer : reference ? reference : variable;
    if (file)
        return read_secret(arguments, file, buffer);
    if (!reference && variable && !is_secret(variable) && !is_reference(variable))
        return cli_complain(arguments, CLI_USAGE_ERROR,
            SECRET_VARIABLE " must be a " SECRET_FORM ", file:/PATH or env:NAME");
    return CLI_OK;
}

static int check_name(const struct cli_arguments *arguments)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    const char *name = cli_operand(arguments, 0);
    if (*name && strlen(name) <= 63 && !name[strspn(name, letters)] && !strchr("._-", *name))
        return CLI_OK;
    return cli_complain(arguments, CLI_USAGE_ERROR,
        "the name \"%s\" must be 1 to 63 characters of a-z, 0-9, '.', '_' and '-', and begin with "
        "a "
        "letter or digit",
        name);
}

/* subscribe ---------------------------------------------------------------------------------------
 */

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
        printf("subscription %s created; it starts at the %s event\n", parameters[0],
            cli_flag(arguments, "from-beginning") ? "oldest retained" : "next");
    else
        printf("subscription %s changed; its cursor stays\n", parameters[0]);
    if (made)
        printf("signing secret for the receiver: %s\n", made);
    return CLI_OK;
}

static int run_subscribe(const struct cli_arguments *arguments)
{
    char buffer[SECRET_MAX];
    const char *secret = NULL;
    int status = check_name(arguments);
    if (!status)
        status = find_secret(arguments, buffer, &secret);
    if (status)
        return status;

    const char *parameters[] = {cli_operand(arguments, 0), cli_text(arguments, "url"),
        cli_text(arguments, "types"), cli_text(arguments, "batch-size"),
        cli_text(arguments, "max-in-flight"), cli_text(arguments, "timeout-ms"),
        cli_text(arguments, "max-attempts"), cli_text(arguments, "retry-base-ms"),
        cli_text(arguments, "retry-max-ms"), cli_text(arguments, "on-dead"), secret,
        cli_flag(arguments, "from-beginning") ? "true" : "false"};
    AUTO_CONNECTION PGconn *connection = cli_connect(arguments);
    if (!connection || !cli_begin(arguments, connection))
        return CLI_FAILED;
    AUTO_RESULT PGresult *result =
        cli_query(arguments, connection, SUBSCRIBE_SQL, parameters, ARRAY_SIZE(parameters));
    status = result ? print_subscribed(arguments, connection, result) : CLI_FAILED;
    return status ? status : cli_commit_shown(arguments, connection);
}

static const struct cli_option subscribe_options[] = {
    CLI_SOURCE_OPTION,
    {.name = "url",
        .type = CLI_TEXT,
        .metavar = "URL",
        .check = check_url,
        .help = "callback URL that events are POSTed to; a new subscription needs one"},
    {.name = "types",
        .type = CLI_TEXT,
        .metavar = "TYPES",
        .check = check_types,
        .help = "event types, separated by commas: exact, a prefix such as `order.*`, or `*` for "
                "all (default: *)"},
    {.name = "batch-size",
        .type = CLI_INT,
        .metavar = "N",
        .min = 1,
        .max = 1000,
        .help = "maximum events per request; above 1, a request carries a CloudEvents batch "
                "(default: 1)"},
    {.name = "max-in-flight",
        .type = CLI_INT,
        .metavar = "N",
        .min = 1,
        .max = 256,
        .help = "maximum concurrent requests; events of a key never overlap (default: 8)"},
    {.name = "timeout-ms",
        .type = CLI_INT,
        .metavar = "MS",
        .min = 10,
        .max = 600000,
        .help = "time limit of a request (default: 10000)"},
    {.name = "max-attempts",
        .type = CLI_INT,
        .metavar = "N",
        .min = 1,
        .max = 1000,
        .help = "refused attempts after which an event is dead (default: 12)"},
    {.name = "retry-base-ms",
        .type = CLI_INT,
        .metavar = "MS",
        .min = 1,
        .max = 86400000,
        .help = "longest wait before the first retry; doubles with every retry (default: 1000)"},
    {.name = "retry-max-ms",
        .type = CLI_INT,
        .metavar = "MS",
        .min = 1,
        .max = 604800000,
        .help = "longest wait before any retry (default: 600000)"},
    {.name = "on-dead",
        .type = CLI_TEXT,
        .metavar = "POLICY",
        .choices = "skip|block",
        .help = "what a dead event does to its key: `skip` lets later events pass, `block` holds "
                "them back (default: skip)"},
    {.name = "secret-file",
        .type = CLI_TEXT,
        .metavar = "PATH",
        .help = "file with the signing secret (`whsec_` and base64), which is stored in the "
                "database"},
    {.name = "secret-ref",
        .type = CLI_TEXT,
        .metavar = "REF",
        .check = check_reference,
        .help = "where the relay reads the secret itself: `file:/PATH` or `env:NAME`; the database "
                "stores only this reference"},
    {.name = "from-beginning",
        .type = CLI_FLAG,
        .help = "for a new subscription: begin at the oldest retained event rather than the next "
                "one"},
    CLI_JSON_OPTION,
};

const struct cli_command CMD_SUBSCRIBE = {
    .name = "subscribe",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "create a subscription, or change one (its cursor stays)",
    .details =
        "Options that are not given keep their value; in a new subscription they get the "
        "default.\n\n"
        "The signing secret can be given by --secret-file, --secret-ref or the environment "
        "variable " SECRET_VARIABLE
        "; if not, a new subscription gets a random one, which is printed once. In "
        "an existing subscription another secret replaces the old one, which stays valid for one "
        "day.",
    .options = subscribe_options,
    .option_count = ARRAY_SIZE(subscribe_options),
    .run = run_subscribe,
};

/* unsubscribe and subscriptions -------------------------------------------------------------------
 */

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
    int status = cli_check_subscription(arguments, connection, name);
    return status ? status
                  : cli_print_query(
                        arguments, connection, SUBSCRIPTIONS_SQL, &name, 1, "no subscriptions");
}

static const struct cli_option subscriptions_options[] = {CLI_SOURCE_OPTION, CLI_JSON_OPTION};

const struct cli_command CMD_SUBSCRIPTIONS = {
    .name = "subscriptions",
    .operands = "[NAME]",
    .max_operands = 1,
    .summary = "list subscriptions with all their settings",
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
