/* outbox-relay run: relays from any number of sources until SIGTERM. */
#include "outbox-relay/command.h"
#include "outbox-relay/relay_metrics.h"
#include "outbox-relay/source.h"
#include "shared/http.h"
#include "shared/log.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MAX_SOURCES 256

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

static int add_source(const struct command *command, struct run *run, const char *entry)
{
    AUTO_FREE char *name = strdup(entry);
    char *equals = name ? strchr(name, '=') : NULL;
    if (!equals)
        return command_misuse(command, "a source is NAME=DSN");
    *equals = '\0';
    if (!name_valid(name))
        return command_misuse(
            command, "a source's name has letters, digits, '.', '_' and '-' only: %s", name);
    for (size_t i = 0; i < run->count; i++)
        if (strcmp(run->sources[i]->name, name) == 0)
            return command_misuse(command, "two sources have the name %s", name);
    if (run->count == MAX_SOURCES)
        return command_misuse(command, "more than %d sources", MAX_SOURCES);
    int ret = source_new(name, equals + 1, &run->settings, &run->sources[run->count]);
    if (ret < 0)
        return command_failed("source %s: %s", name, strerror(-ret));
    run->count++;
    return EXIT_DONE;
}

/* NAME=CONNINFO entries, separated by newlines or ';'. */
static int add_sources_from_environment(const struct command *command, struct run *run)
{
    AUTO_FREE char *list = strdup(run->settings.sources);
    char *rest = list;
    for (char *entry = strsep(&rest, "\n;"); entry; entry = strsep(&rest, "\n;")) {
        entry += strspn(entry, " \t\r");
        int status = *entry ? add_source(command, run, entry) : EXIT_DONE;
        if (status != EXIT_DONE)
            return status;
    }
    return EXIT_DONE;
}

/* Server -----------------------------------------------------------------------------------------
 */

static int start_server(const struct command *command, struct run *run)
{
    const char *listen = run->settings.listen;
    if (strcmp(listen, "off") == 0)
        return EXIT_DONE;
    AUTO_FREE char *address = strdup(listen);
    char *colon = address ? strrchr(address, ':') : NULL, *end;
    long port = colon ? strtol(colon + 1, &end, 10) : -1;
    if (!colon || colon == address || *end || end == colon + 1 || port < 0 || port > 65535)
        return command_misuse(command, "--listen is ADDRESS:PORT or off, not %s", listen);
    *colon = '\0';
    struct http_settings settings = {
        .program = "outbox-relay",
        .address = address,
        .port = (uint16_t)port,
        .max_connections = 32,
        .max_body = 1024,
        .idle_timeout_s = 30,
        .ready = relay_ready,
    };
    int ret = http_server_start(&settings, &run->server);
    if (ret < 0)
        return command_failed("can't listen on %s: %s (choose with --listen or "
                              "OUTBOX_RELAY_LISTEN)",
            listen, strerror(-ret));
    log_info(
        "listening", LOG_TEXT("address", address), LOG_INT("port", http_server_port(run->server)));
    return EXIT_DONE;
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

static int start_sources(struct run *run)
{
    for (; run->started < run->count; run->started++) {
        struct source *source = run->sources[run->started];
        int ret = source_start(source);
        if (ret < 0)
            return command_failed("source %s: %s", source->name, strerror(-ret));
        log_info(
            "watching", LOG_TEXT("source", source->name), LOG_TEXT("wake", run->settings.wake));
    }
    return EXIT_DONE;
}

static void stop_sources(struct run *run)
{
    relay_metrics_stop();
    for (size_t i = 0; i < run->started; i++)
        source_stop(run->sources[i]);
    for (size_t i = 0; i < run->count; i++)
        source_join(run->sources[i], i < run->started);
}

static int relay(const struct command *command, struct run *run)
{
    sigset_t signals;
    int signal_number;
    block_signals(&signals);
    relay_metrics_start(run->sources, run->count);
    int status = start_server(command, run);
    if (status == EXIT_DONE)
        status = start_sources(run);
    if (status == EXIT_DONE) {
        sigwait(&signals, &signal_number);
        log_info("stopping", LOG_TEXT("signal", strsignal(signal_number)));
    }
    stop_sources(run);
    if (run->server)
        http_server_stop(run->server, 1000);
    return status;
}

/* Options ----------------------------------------------------------------------------------------
 */

static int load_settings(struct run *run)
{
    AUTO_FREE char *error = NULL;
    enum log_level level;
    if (settings_load(RELAY_SETTINGS, RELAY_SETTINGS_COUNT, &run->settings, &error) < 0) {
        command_failed("%s", error);
        return EXIT_USAGE;
    }
    log_init("outbox-relay",
        log_level_parse(run->settings.log_level, &level) == 0 ? level : LOG_LEVEL_INFO);
    return EXIT_DONE;
}

static int replace(char **setting, const char *value)
{
    char *copy = strdup(value);
    if (!copy)
        return command_failed("out of memory");
    free(*setting);
    *setting = copy;
    return EXIT_DONE;
}

static int parse(const struct command *command, struct run *run, int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"source", required_argument, NULL, 's'},
        {"listen", required_argument, NULL, 'l'},
        {"wake", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int status = EXIT_DONE, option;
    /* The settings first: sources are made from them. */
    while (status == EXIT_DONE &&
           (option = command_option(command, argc, argv, OPTIONS, &status)) != -1) {
        if (option == 'l')
            status = replace(&run->settings.listen, optarg);
        else if (option == 'w' && strcmp(optarg, "listen") != 0 && strcmp(optarg, "poll") != 0)
            status = command_misuse(command, "--wake is listen or poll, not %s", optarg);
        else if (option == 'w')
            status = replace(&run->settings.wake, optarg);
        else if (option == -2)
            return status == EXIT_DONE ? -1 : status; /* --help has been answered */
    }
    if (status == EXIT_DONE && optind < argc)
        return command_misuse(command, "unexpected argument %s", argv[optind]);
    optind = 1;
    while (status == EXIT_DONE &&
           (option = command_option(command, argc, argv, OPTIONS, &status)) != -1)
        if (option == 's')
            status = add_source(command, run, optarg);
    if (status == EXIT_DONE && run->count == 0)
        status = add_sources_from_environment(command, run);
    if (status == EXIT_DONE && run->count == 0)
        status = command_misuse(
            command, "say what to watch with --source NAME=DSN or OUTBOX_RELAY_SOURCES");
    return status;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    static struct run run; /* metrics look at it as long as the program lives */
    int status = load_settings(&run);
    if (status == EXIT_DONE)
        status = parse(command, &run, argc, argv);
    if (status == EXIT_DONE)
        status = relay(command, &run);
    else
        stop_sources(&run);
    settings_release(RELAY_SETTINGS, RELAY_SETTINGS_COUNT, &run.settings);
    return status < 0 ? EXIT_DONE : status;
}

const struct command CMD_RUN = {
    .name = "run",
    .synopsis = "--source NAME=DSN … [--listen ADDRESS:PORT] [--wake listen|poll]",
    .summary = "Deliver the events of one or more databases, until SIGTERM",
    .help =
        "  --source NAME=DSN       a publishing database; its events have the CloudEvents source\n"
        "                          /NAME (default: those of OUTBOX_RELAY_SOURCES)\n"
        "  --listen ADDRESS:PORT   where /metrics, /livez and /readyz are, or off\n"
        "                          (default 127.0.0.1:8010)\n"
        "  --wake listen|poll      poll where a transaction-pooling proxy is in between\n"
        "\n"
        "Any number of relays may run for a database: one is active, the others stand by.\n"
        "Further settings are environment variables: outbox-relay --settings.\n",
    .run = run_command,
};
