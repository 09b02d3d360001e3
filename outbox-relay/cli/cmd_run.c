/* outbox-relay run: relays from any number of sources until SIGTERM. */
#include "outbox-relay/cli/address.h"
#include "outbox-relay/cli/cli_db.h"
#include "outbox-relay/cli/commands.h"
#include "outbox-relay/cli/drain_display.h"
#include "outbox-relay/cli/metrics_page.h"
#include "outbox-relay/engine/settings.h"
#include "outbox-relay/engine/source.h"
#include "shared/base/cleanup.h"
#include "shared/base/log.h"
#include "shared/http/http.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_SOURCES 256
#define PROGRESS_EVERY_NS 500000000L

struct run {
    struct relay_settings settings;
    struct source *sources[MAX_SOURCES];
    size_t count, started;
    struct http_server *server;
};

/* Sources ----------------------------------------------------------------------------------------
 */

static bool name_valid(const char *name)
{
    size_t length =
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return length > 0 && length <= 63 && name[length] == '\0';
}

static int add_source(const struct cli_arguments *arguments, struct run *run, const char *entry)
{
    AUTO_FREE char *name = strdup(entry);
    char *equals = name ? strchr(name, '=') : NULL;
    if (!equals || cli_lacks_name(entry))
        return cli_complain(arguments, CLI_USAGE_ERROR,
            "a source needs a name: write NAME=DSN, such as \"shop=host=127.0.0.1 dbname=shop\"");
    *equals = '\0';
    if (!name_valid(name))
        return cli_complain(arguments, CLI_USAGE_ERROR,
            "the source name \"%s\" must be 1 to 63 letters, digits, '.', '_' or '-'", name);
    for (size_t i = 0; i < run->count; i++)
        if (strcmp(source_name(run->sources[i]), name) == 0)
            return cli_complain(arguments, CLI_USAGE_ERROR, "two sources are named %s", name);
    char mistake[CLI_MISTAKE_SIZE];
    if (!cli_check_dsn(equals + 1, mistake))
        return cli_complain(arguments, CLI_USAGE_ERROR, "source %s: %s", name, mistake);
    if (run->count == MAX_SOURCES)
        return cli_complain(arguments, CLI_USAGE_ERROR, "more than %d sources", MAX_SOURCES);
    int ret = source_new(name, equals + 1, &run->settings, &run->sources[run->count]);
    if (ret < 0)
        return cli_complain(arguments, CLI_FAILED, "source %s: %s", name, strerror(-ret));
    run->count++;
    return CLI_OK;
}

/* NAME=CONNINFO entries, separated by newlines or ';'. */
static int add_sources_from_environment(const struct cli_arguments *arguments, struct run *run)
{
    AUTO_FREE char *list = strdup(run->settings.sources);
    char *rest = list;
    for (char *entry = strsep(&rest, "\n;"); entry; entry = strsep(&rest, "\n;")) {
        entry += strspn(entry, " \t\r");
        int status = *entry ? add_source(arguments, run, entry) : CLI_OK;
        if (status != CLI_OK)
            return status;
    }
    return CLI_OK;
}

/* Server -----------------------------------------------------------------------------------------
 */

static int start_server(const struct cli_arguments *arguments, struct run *run)
{
    const char *listen = run->settings.listen;
    if (strcmp(listen, "off") == 0)
        return CLI_OK;
    struct listen_address address;
    if (!listen_address_parse(listen, &address))
        return cli_complain(
            arguments, CLI_USAGE_ERROR, "--listen must be ADDRESS:PORT or off, not \"%s\"", listen);
    struct http_settings settings = {
        .program = "outbox-relay",
        .address = address.host,
        .port = address.port,
        .max_connections = 32,
        .max_body = 1024,
        .idle_timeout_s = 30,
        .ready = metrics_page_ready,
    };
    int ret = http_server_start(&settings, &run->server);
    if (ret < 0)
        return cli_complain(arguments, CLI_FAILED,
            "cannot listen on %s: %s (set another address with --listen or OUTBOX_RELAY_LISTEN)",
            listen, strerror(-ret));
    log_info("listening", LOG_TEXT("address", address.host),
        LOG_INT("port", http_server_port(run->server)));
    return CLI_OK;
}

/* Life -------------------------------------------------------------------------------------------
 */

/* Before any thread is made, so that all inherit the mask. */
static void block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int start_sources(const struct cli_arguments *arguments, struct run *run)
{
    for (; run->started < run->count; run->started++) {
        struct source *source = run->sources[run->started];
        int ret = source_start(source);
        if (ret < 0)
            return cli_complain(
                arguments, CLI_FAILED, "source %s: %s", source_name(source), strerror(-ret));
        log_info("watching", LOG_TEXT("source", source_name(source)),
            LOG_TEXT("wake", run->settings.wake));
    }
    return CLI_OK;
}

static void stop_sources(struct run *run)
{
    metrics_page_stop();
    for (size_t i = 0; i < run->started; i++)
        source_stop(run->sources[i]);
    for (size_t i = 0; i < run->count; i++)
        source_join(run->sources[i], i < run->started);
}

/* Returns the signal that ends the program. On a terminal, shows progress meanwhile. */
static int wait_for_stop(const struct run *run, const sigset_t *signals)
{
    int signal_number = -1;
    struct drain_display display = {0};
    if (!isatty(STDOUT_FILENO)) {
        sigwait(signals, &signal_number);
        return signal_number;
    }
    const struct timespec pause = {.tv_nsec = PROGRESS_EVERY_NS};
    while ((signal_number = sigtimedwait(signals, NULL, &pause)) < 0)
        drain_display_show(&display, stdout, run->sources, run->count);
    return signal_number;
}

static int relay(const struct cli_arguments *arguments, struct run *run)
{
    sigset_t signals;
    block_signals(&signals);
    metrics_page_start(run->sources, run->count);
    int status = start_server(arguments, run);
    if (status == CLI_OK)
        status = start_sources(arguments, run);
    if (status == CLI_OK) {
        int signal_number = wait_for_stop(run, &signals);
        log_info("stopping", LOG_TEXT("signal", strsignal(signal_number)));
    }
    stop_sources(run);
    if (run->server)
        http_server_stop(run->server, 1000);
    return status;
}

/* Options ----------------------------------------------------------------------------------------
 */

static int load_settings(const struct cli_arguments *arguments, struct run *run)
{
    AUTO_FREE char *error = NULL;
    enum log_level level = LOG_LEVEL_INFO;
    if (settings_load(RELAY_SETTINGS, RELAY_SETTINGS_COUNT, &run->settings, &error) < 0)
        return cli_complain(arguments, CLI_USAGE_ERROR, "%s", error);
    if (log_level_parse(run->settings.log_level, &level) < 0)
        level = LOG_LEVEL_INFO; /* the settings know the levels */
    log_init("outbox-relay", level);
    return CLI_OK;
}

/* An option in place of a setting. */
static int override(const struct cli_arguments *arguments, const char *option, char **setting)
{
    const char *value = cli_text(arguments, option);
    char *copy = value ? strdup(value) : NULL;
    if (!value)
        return CLI_OK;
    if (!copy)
        return cli_complain(arguments, CLI_FAILED, "out of memory");
    free(*setting);
    *setting = copy;
    return CLI_OK;
}

static int add_sources(const struct cli_arguments *arguments, struct run *run)
{
    const char *const *entries;
    int count = cli_list(arguments, "source", &entries), status = CLI_OK;
    for (int i = 0; i < count && status == CLI_OK; i++)
        status = add_source(arguments, run, entries[i]);
    if (count == 0)
        status = add_sources_from_environment(arguments, run);
    if (status == CLI_OK && run->count == 0)
        return cli_complain(arguments, CLI_USAGE_ERROR,
            "no source given: use --source NAME=DSN or OUTBOX_RELAY_SOURCES%s",
            getenv("OUTBOX_RELAY_SOURCE") ? " (OUTBOX_RELAY_SOURCE is for the other commands)"
                                          : "");
    return status;
}

static int run_relay(const struct cli_arguments *arguments)
{
    static struct run run; /* the metrics look at it as long as the program lives */
    if (cli_flag(arguments, "settings-markdown")) {
        settings_print_markdown(stdout, RELAY_SETTINGS, RELAY_SETTINGS_COUNT);
        return CLI_OK;
    }
    if (cli_flag(arguments, "settings")) {
        settings_print_help(stdout, RELAY_SETTINGS, RELAY_SETTINGS_COUNT);
        return CLI_OK;
    }
    int status = load_settings(arguments, &run);
    if (status == CLI_OK)
        status = override(arguments, "listen", &run.settings.listen);
    if (status == CLI_OK)
        status = override(arguments, "wake", &run.settings.wake);
    if (status == CLI_OK)
        status = add_sources(arguments, &run);
    if (status == CLI_OK)
        status = relay(arguments, &run);
    else
        stop_sources(&run);
    settings_release(RELAY_SETTINGS, RELAY_SETTINGS_COUNT, &run.settings);
    return status;
}

static const struct cli_option options[] = {
    {.name = "source",
        .type = CLI_LIST,
        .metavar = "NAME=DSN",
        .help = "database to relay from; NAME becomes the CloudEvents source /NAME (default: "
                "$OUTBOX_RELAY_SOURCES)"},
    {.name = "listen",
        .type = CLI_TEXT,
        .metavar = "ADDR:PORT",
        .help = "address for /metrics, /livez and /readyz, or `off` (default: "
                "$OUTBOX_RELAY_LISTEN or 127.0.0.1:8010)"},
    {.name = "wake",
        .type = CLI_TEXT,
        .metavar = "MODE",
        .choices = "listen|poll",
        .help = "how to learn of new events: `listen` or `poll`; use `poll` behind a "
                "transaction-pooling proxy (default: "
                "$OUTBOX_RELAY_WAKE or listen)"},
    {.name = "settings",
        .type = CLI_FLAG,
        .help = "print the environment variables with their defaults, and exit"},
    {.name = "settings-markdown",
        .type = CLI_FLAG,
        .help = "print them as a Markdown table, and exit"},
};

const struct cli_command CMD_RUN = {
    .name = "run",
    .operands = "",
    .summary = "deliver events from one or more databases, until stopped",
    .details = "Any number of relays may run for a database: one is active, the others stand by. A "
               "database that cannot be reached is tried again until it answers.",
    .options = options,
    .option_count = ARRAY_SIZE(options),
    .run = run_relay,
};
