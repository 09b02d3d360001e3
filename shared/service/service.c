/* What every service's main has in common. */
#include "shared/service/service.h"

#include "shared/base/clock.h"
#include "shared/base/healthcheck.h"
#include "shared/base/log.h"
#include "shared/service/service_internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_WRONG_USE = 2 };

#define INIT_RETRY_MIN_MS 50
#define INIT_RETRY_MAX_MS 2000
#define LEEWAY_S 5
/* After SHUTDOWN_TIMEOUT_MS a handler is given as long as a statement may take, then SIGALRM ends
 * the process: whatever it did not commit never was. */
#define SHUTDOWN_GRACE_S 15

/* What the process runs on; from main until it ends. */
struct running {
    const struct service *service;
    struct service_settings settings;
    struct db_pool *pool;
    struct auth *auth;
    struct http_server *server;
    struct http_route routes[SERVICE_MAX_ROUTES + 1]; /* the service's and POST /internal/events */
    size_t route_count;
};

static struct running running;

const char *service_jwt_issuer(void)
{
    return running.settings.jwt_issuer;
}

const char *service_jwt_audience(void)
{
    return running.settings.jwt_audience;
}

/* Tells the person who started the program; the log is for what happens later. */
static int complain(int status, const char *format, ...) PRINTF_LIKE(2, 3);
static int complain(int status, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s: %s\n", running.service->name, text);
    return status;
}

/* --help, --version, --settings-markdown */

static int print_help(const struct service *service, const struct service_table *table)
{
    printf(
        "usage: %s [--help | --version | --healthcheck | --settings-markdown]\n\n"
        "Without an argument it runs as SERVICE_MODE says. Settings come from the environment;\n"
        "a secret may also be in a file that NAME_FILE names. --healthcheck asks the instance\n"
        "at LISTEN_ADDRESS and PORT whether it is ready, and exits with 0 if so, else with 1.\n\n",
        service->name);
    settings_print_help(stdout, table->rows, table->count);
    settings_print_help(stdout, service->settings, service->setting_count);
    printf("\nExit status: 0 success, 1 failure, 2 usage error or wrong settings.\n");
    return EXIT_DONE;
}

/* Needs the address alone: a check must not ask for the service's secrets. */
static int check_health(const struct service_table *table)
{
    AUTO_FREE char *error = NULL;
    for (size_t i = 0; i < table->count; i++) {
        const char *name = table->rows[i].name;
        if (strcmp(name, "LISTEN_ADDRESS") != 0 && strcmp(name, "PORT") != 0)
            continue;
        if (settings_load(&table->rows[i], 1, &running.settings, &error))
            return complain(EXIT_WRONG_USE, "%s", error ? error : "out of memory");
    }
    return healthcheck(
        running.service->name, running.settings.listen_address, (uint16_t)running.settings.port);
}

static int handle_argument(
    const struct service *service, const struct service_table *table, int argc, char **argv)
{
    if (argc > 2)
        return complain(EXIT_WRONG_USE, "only one argument is allowed; see %s --help", argv[0]);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return print_help(service, table);
    if (strcmp(argv[1], "--version") == 0) {
        printf("%s %s\n", service->name, VERSION);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--settings-markdown") == 0) {
        settings_print_markdown(stdout, table->rows, table->count);
        settings_print_markdown(stdout, service->settings, service->setting_count);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--healthcheck") == 0)
        return check_health(table);
    return complain(EXIT_WRONG_USE, "unknown argument \"%s\"; see %s --help", argv[1], argv[0]);
}

/* Settings */

static bool is_init(void)
{
    return strcmp(running.settings.mode, "INIT") == 0;
}

/* Loads the rows up to SERVICE_MODE first: INIT does not ask for the secrets of callbacks. */
static int load_common(struct service_table *table, char **ret_error)
{
    int error = settings_load(table->rows, 1, &running.settings, ret_error);
    for (size_t i = 1; i < table->count && !error; i++) {
        if (is_init() && strcmp(table->rows[i].name, "WEBHOOK_SECRETS") == 0)
            continue;
        error = settings_load(&table->rows[i], 1, &running.settings, ret_error);
    }
    return error;
}

/* libpq's own complaint would repeat parts of the text, which holds a password. */
static bool is_conninfo(const char *text)
{
    PQconninfoOption *options = PQconninfoParse(text, NULL);
    PQconninfoFree(options);
    return options != NULL;
}

static int load_settings(const struct service *service, struct service_table *table)
{
    AUTO_FREE char *error = NULL;
    if (load_common(table, &error) ||
        settings_load(service->settings, service->setting_count, service->settings_target, &error))
        return complain(EXIT_WRONG_USE, "%s", error ? error : "out of memory");
    if (!is_conninfo(running.settings.database_url))
        return complain(EXIT_WRONG_USE, "DATABASE_URL is not a PostgreSQL connection string");

    enum log_level level = LOG_LEVEL_INFO;
    (void)log_level_parse(running.settings.log_level, &level); /* one of the setting's choices */
    log_init(service->name, level);
    return EXIT_DONE;
}

static int make_pool_and_auth(const struct service *service)
{
    const struct service_settings *settings = &running.settings;
    running.pool = db_pool_new(settings->database_url, service->name, (int)settings->db_pool_size,
        (int)settings->db_acquire_timeout_ms);
    running.auth = auth_new(&(struct auth_settings){
        .jwks_url = is_init() ? NULL : settings->jwks_url,
        .issuer = settings->jwt_issuer,
        .audience = settings->jwt_audience,
        .leeway_s = LEEWAY_S,
    });
    if (!running.pool || !running.auth)
        return complain(EXIT_FAILED, "out of memory");
    return EXIT_DONE;
}

/* SERVICE_MODE=INIT */

/* Connects with backoff until INIT_TIMEOUT_MS is over. */
static int wait_for_database(struct db **ret_db)
{
    int64_t deadline = clock_ms() + running.settings.init_timeout_ms;
    int64_t pause_ms = INIT_RETRY_MIN_MS;
    int error;
    while ((error = db_acquire(running.pool, ret_db)) == -ENOTCONN) {
        int64_t left_ms = deadline - clock_ms();
        if (left_ms <= 0)
            break;
        pause_ms = pause_ms < left_ms ? pause_ms : left_ms;
        nanosleep(
            &(struct timespec){.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000},
            NULL);
        pause_ms = pause_ms * 2 < INIT_RETRY_MAX_MS ? pause_ms * 2 : INIT_RETRY_MAX_MS;
    }
    return error;
}

static int apply_migrations(const struct service *service, struct db *db)
{
    const struct migration_set *const sets[] = {
        &sql_web,
        service_event_count(service) > 0 ? &sql_inbox : NULL,
        service->publishes ? &sql_outbox : NULL,
        service->schema,
        running.settings.demo_data ? service->demo : NULL,
    };
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
        int applied;
        int error = sets[i] ? migrate(db, sets[i], &applied) : 0;
        if (error)
            return error;
    }
    return 0;
}

static int run_init(const struct service *service)
{
    struct db *db;
    if (wait_for_database(&db)) {
        log_error("could not reach the database in time",
            LOG_INT("timeoutMs", running.settings.init_timeout_ms));
        return EXIT_FAILED;
    }
    int error = apply_migrations(service, db);
    db_release(db);
    if (!error && service->start)
        error = service->start(running.pool, running.auth, true);
    if (error < 0) {
        log_error("initialization failed", LOG_INT("errno", -error));
        return EXIT_FAILED;
    }
    log_info("initialized");
    return EXIT_DONE;
}

/* SERVICE_MODE=SERVICE */

static int make_routes(const struct service *service)
{
    size_t count = 0, events = service_event_count(service);
    for (; count < SERVICE_MAX_ROUTES && service->routes[count].handler; count++)
        running.routes[count] = service->routes[count];
    if (events > 0)
        running.routes[count++] =
            (struct http_route){"POST", "/internal/events", HTTP_OPEN, inbox_receive};
    running.route_count = count;
    if (events > 0 && inbox_configure(service->events, events, running.settings.webhook_secrets))
        return complain(EXIT_WRONG_USE,
            "WEBHOOK_SECRETS must be secrets of the form whsec_<base64 of 24 to 64 bytes> or "
            "SOURCE=whsec_…, separated by spaces or commas");
    return EXIT_DONE;
}

static int complain_listen(int error)
{
    const char *address = running.settings.listen_address;
    int port = (int)running.settings.port;
    switch (error) {
    case -EADDRINUSE:
        return complain(
            EXIT_FAILED, "port %d of %s is taken; set PORT to a free one", port, address);
    case -EACCES:
        return complain(
            EXIT_FAILED, "port %d may not be used by this user; set PORT to another", port);
    case -EADDRNOTAVAIL:
        return complain(
            EXIT_FAILED, "%s is not an address of this machine; set LISTEN_ADDRESS", address);
    default:
        return complain(
            EXIT_FAILED, "cannot listen on port %d of %s: %s", port, address, strerror(-error));
    }
}

static int start_server(const struct service *service)
{
    const struct service_settings *settings = &running.settings;
    const struct http_settings http = {
        .program = service->name,
        .address = settings->listen_address,
        .port = (uint16_t)settings->port,
        .max_connections = (int)settings->max_connections,
        .max_body = (size_t)settings->max_body_bytes,
        .idle_timeout_s = (int)settings->idle_timeout_s,
        .routes = running.routes,
        .route_count = running.route_count,
        .auth = auth_for_http(running.auth),
        .pool = running.pool,
    };
    int error = http_server_start(&http, &running.server);
    if (error)
        return complain_listen(error);
    log_info("listening", LOG_TEXT("address", settings->listen_address),
        LOG_INT("port", http_server_port(running.server)), LOG_TEXT("version", VERSION));
    return EXIT_DONE;
}

/* Blocked before any thread is made, so that only sigwait sees them. */
static void block_stop_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    pthread_sigmask(SIG_BLOCK, set, NULL);
}

static void wait_for_stop(const sigset_t *set)
{
    int signal_number;
    while (sigwait(set, &signal_number))
        ;
    log_info("stopping", LOG_TEXT("signal", signal_number == SIGTERM ? "SIGTERM" : "SIGINT"));
    sigset_t interrupt; /* who presses Ctrl-C again does not want to wait; SIGTERM may come twice */
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &interrupt, NULL);
    alarm((unsigned)(running.settings.shutdown_timeout_ms / 1000) + SHUTDOWN_GRACE_S);
}

static int run_service(const struct service *service, const sigset_t *stop_signals)
{
    int status = make_routes(service);
    if (status)
        return status;
    int error = service->start ? service->start(running.pool, running.auth, false) : 0;
    if (error < 0) {
        log_error("start failed", LOG_INT("errno", -error));
        return EXIT_FAILED;
    }
    status = start_server(service);
    if (!status)
        wait_for_stop(stop_signals);
    http_server_stop(running.server, (int)running.settings.shutdown_timeout_ms);
    if (service->start && service->stop)
        service->stop();
    if (!status)
        log_info("stopped");
    return status;
}

/* The soft limit of open files is a guard for programs that use select(2); none is used here. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* as it was will do, too */
    }
}

static int run(const struct service *service, struct service_table *table)
{
    sigset_t stop_signals;
    raise_file_limit();
    signal(SIGPIPE, SIG_IGN); /* a client that has gone shows as an error of write(2) */
    int status = load_settings(service, table);
    if (!status && !is_init())
        block_stop_signals(&stop_signals);
    if (!status)
        status = make_pool_and_auth(service);
    if (!status)
        status = is_init() ? run_init(service) : run_service(service, &stop_signals);

    auth_free(running.auth);
    db_pool_free(running.pool);
    settings_release(table->rows, table->count, &running.settings);
    settings_release(service->settings, service->setting_count, service->settings_target);
    return status;
}

int service_main(const struct service *service, int argc, char **argv)
{
    static struct service_table table;
    running.service = service;
    log_init(service->name, LOG_LEVEL_INFO);
    service_table_fill(&table, service);
    if (argc > 1)
        return handle_argument(service, &table, argc, argv);
    return run(service, &table);
}
