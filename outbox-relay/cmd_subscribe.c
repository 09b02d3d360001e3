/* outbox-relay subscribe: makes or changes a subscription. */
#include "outbox-relay/buffer.h"
#include "outbox-relay/command.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum option_id {
    OPT_SOURCE = 256,
    OPT_URL,
    OPT_TYPES,
    OPT_BATCH_SIZE,
    OPT_MAX_IN_FLIGHT,
    OPT_TIMEOUT_MS,
    OPT_MAX_ATTEMPTS,
    OPT_RETRY_BASE_MS,
    OPT_RETRY_MAX_MS,
    OPT_ON_DEAD,
    OPT_SECRET,
    OPT_FROM_BEGINNING,
    OPT_END
};

static const struct option OPTIONS[] = {
    {"source", required_argument, NULL, OPT_SOURCE},
    {"url", required_argument, NULL, OPT_URL},
    {"types", required_argument, NULL, OPT_TYPES},
    {"batch-size", required_argument, NULL, OPT_BATCH_SIZE},
    {"max-in-flight", required_argument, NULL, OPT_MAX_IN_FLIGHT},
    {"timeout-ms", required_argument, NULL, OPT_TIMEOUT_MS},
    {"max-attempts", required_argument, NULL, OPT_MAX_ATTEMPTS},
    {"retry-base-ms", required_argument, NULL, OPT_RETRY_BASE_MS},
    {"retry-max-ms", required_argument, NULL, OPT_RETRY_MAX_MS},
    {"on-dead", required_argument, NULL, OPT_ON_DEAD},
    {"secret", required_argument, NULL, OPT_SECRET},
    {"from-beginning", no_argument, NULL, OPT_FROM_BEGINNING},
    {"help", no_argument, NULL, 'h'},
    {0},
};

#define SUBSCRIBE \
    "select outbox.subscribe($1, $2," \
    "  (select array_agg(trim(t)) from regexp_split_to_table($3, ',') t where trim(t) <> '')," \
    "  $4::integer, $5::integer, $6::integer, $7::integer, $8::integer, $9::integer," \
    "  $10, $11, $12::boolean)"

/* A secret on a command line shows in `ps`: "-" reads it from standard input. */
static const char *read_secret(const char *value, char line[256])
{
    if (strcmp(value, "-") != 0)
        return value;
    if (!fgets(line, 256, stdin))
        return NULL;
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

static bool is_number(const char *text)
{
    return *text && strlen(text) <= 9 && strspn(text, "0123456789") == strlen(text);
}

static int check(const struct command *command, const char *const *values)
{
    for (int i = OPT_BATCH_SIZE; i <= OPT_RETRY_MAX_MS; i++)
        if (values[i - OPT_SOURCE] && !is_number(values[i - OPT_SOURCE]))
            return command_misuse(command, "--%s must be a whole number, not %s",
                OPTIONS[i - OPT_SOURCE].name, values[i - OPT_SOURCE]);
    const char *on_dead = values[OPT_ON_DEAD - OPT_SOURCE];
    if (on_dead && strcmp(on_dead, "skip") != 0 && strcmp(on_dead, "block") != 0)
        return command_misuse(command, "--on-dead must be skip or block, not %s", on_dead);
    if (!values[OPT_URL - OPT_SOURCE])
        return command_misuse(command, "--url is missing");
    return EXIT_DONE;
}

static int subscribe(const struct command *command, const char *name, const char **options)
{
    int status = EXIT_FAILED;
    const char *values[12] = {name};
    memcpy(&values[1], &options[1], sizeof(*options) * (OPT_FROM_BEGINNING - OPT_URL + 1));
    if (!values[11])
        values[11] = "false";
    PGconn *connection = command_connect(command, options[0], &status);
    if (!connection)
        return status;
    AUTO_RESULT PGresult *result = command_query(connection, SUBSCRIBE, 12, values);
    if (result) {
        bool created = *PQgetvalue(result, 0, 0) == 't';
        printf("%s: subscription %s\n", created ? "made" : "changed", name);
        status = EXIT_DONE;
    }
    PQfinish(connection);
    return status;
}

static int run(const struct command *command, int argc, char **argv)
{
    const char *values[OPT_END - OPT_SOURCE] = {0};
    const char *name = NULL;
    char line[256];
    int status, option;
    for (;;) {
        option = command_option(command, argc, argv, OPTIONS, &status);
        if (option == -2)
            return status;
        if (option == -1 && optind < argc) {
            if (name)
                return command_misuse(command, "unexpected argument %s", argv[optind]);
            name = argv[optind++];
            continue;
        }
        if (option == -1)
            break;
        values[option - OPT_SOURCE] = option == OPT_FROM_BEGINNING ? "true" : optarg;
    }
    if (!name)
        return command_misuse(command, "the subscription's NAME is missing");
    status = check(command, values);
    if (status != EXIT_DONE)
        return status;
    const char **secret = &values[OPT_SECRET - OPT_SOURCE];
    if (*secret && !(*secret = read_secret(*secret, line)))
        return command_failed("no secret on standard input");
    return subscribe(command, name, values);
}

const struct command CMD_SUBSCRIBE = {
    .name = "subscribe",
    .synopsis = "NAME --source DSN --url URL [options]",
    .summary = "Make a subscription, or change one (it keeps its cursor and what is not given)",
    .help =
        "  --source DSN        the publishing database (default: OUTBOX_RELAY_SOURCE)\n"
        "  --url URL           the callback that events are POSTed to\n"
        "  --types LIST        event types, separated by commas: exact, order.* or * (default *)\n"
        "  --batch-size N      most events in one request (default 1: single CloudEvents)\n"
        "  --max-in-flight N   requests at the same time (default 8)\n"
        "  --timeout-ms N      longest time one request may take (default 10000)\n"
        "  --max-attempts N    attempts of a refused event before it is dead (default 12)\n"
        "  --retry-base-ms N   wait before the first retry, doubled each time (default 1000)\n"
        "  --retry-max-ms N    longest wait between retries (default 600000)\n"
        "  --on-dead POLICY    skip: the key goes on (default); block: it waits for you\n"
        "  --secret VALUE      whsec_…, file:/path, env:NAME, or - for standard input\n"
        "                      (default: a new random one, see outbox-relay secrets)\n"
        "  --from-beginning    a new subscription starts with the oldest retained event\n",
    .run = run,
};
