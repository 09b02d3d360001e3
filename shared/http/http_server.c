/* The HTTP server on libmicrohttpd: its life, and a request's way through it. */
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/http/http_access.h"
#include "shared/http/http_framing.h"
#include "shared/http/http_identity.h"
#include "shared/http/http_metrics.h"
#include "shared/http/http_query.h"
#include "shared/http/http_reply.h"
#include "shared/http/http_request.h"
#include "shared/http/http_router.h"
#include "shared/http/http_watch.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Enough for libpq, libcurl and OpenSSL below a handler; libmicrohttpd's default is 8 MiB. */
#define THREAD_STACK_BYTES (512 * 1024)
/* For the request line and headers; longer ones get 414 or 431 from libmicrohttpd. */
#define CONNECTION_MEMORY_BYTES (32 * 1024)
/* A refused body is still read up to here: closing with unread data would reset the connection,
 * and the client would not see why. */
#define DISCARD_MAX (UINT64_C(32) * 1024 * 1024)

/* Deadlines as multiples of the idle timeout, which bounds silence within them. */
enum {
    HEAD_WITHIN = 3,   /* idle between two requests, then request line and headers */
    BODY_WITHIN = 2,   /* from the end of the headers */
    ANSWER_WITHIN = 4, /* until the client has read it */
};

struct http_server {
    struct http_app app; /* settings: program and address are owned copies */
    struct MHD_Daemon *daemon;
    struct http_watch *watch;
    uint16_t port;
    pthread_mutex_t lock; /* guards in_flight */
    pthread_cond_t idle;  /* in_flight has become 0 */
    int in_flight;        /* requests whose headers have arrived and that are not done */
};

static void set_deadline(const struct http_app *app, struct http_watched *watched, int times)
{
    http_watch_within(watched, INT64_C(1000) * app->settings.idle_timeout_s * times);
}

static void request_free(struct http_request *request)
{
    http_reply_reset(request);
    http_query_release(request);
    json_decref(request->json);
    free(request->event_headers);
    free(request->body);
    free(request->path);
    free(request);
}

static void count_in_flight(struct http_server *server, int change)
{
    http_metrics_in_flight(change);
    pthread_mutex_lock(&server->lock);
    server->in_flight += change;
    if (server->in_flight == 0)
        pthread_cond_broadcast(&server->idle);
    pthread_mutex_unlock(&server->lock);
}

/* The request is over; NULL is allowed. */
static void request_end(struct http_server *server, struct http_request *request, bool aborted)
{
    if (!request)
        return;
    if (!request->headers_seen) {
        request_free(request);
        return;
    }
    http_metrics_done(request, aborted);
    log_context_clear();
    request_free(request);
    count_in_flight(server, -1); /* last: the server may be freed after this */
}

/* A connection owns its request: libmicrohttpd 0.9.75 does not report the end of one that it
 * refuses by itself behind the request line, as when the query does not fit into its memory. */
struct http_connection {
    struct http_watched *watched; /* NULL: no memory for it */
    struct http_request *request; /* NULL: none in progress */
};

static struct http_connection *connection_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info->socket_context;
}

static void connection_end(struct http_server *server, struct http_connection *own)
{
    if (!own)
        return;
    http_watch_remove(own->watched);
    request_end(server, own->request, true);
    free(own);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
    enum MHD_ConnectionNotificationCode what)
{
    struct http_server *server = cls;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        connection_end(server, *socket_context);
        return;
    }
    struct http_connection *own = calloc(1, sizeof *own);
    *socket_context = own;
    if (!own)
        return; /* its requests are refused */
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    own->watched = http_watch_add(server->watch, info->connect_fd);
    set_deadline(&server->app, own->watched, HEAD_WITHIN);
}

/* The first sight of a request: its line. The path is taken before libmicrohttpd decodes it. */
static void *on_request_line(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct http_server *server = cls;
    struct http_connection *own = connection_of(connection);
    struct http_request *request = own ? calloc(1, sizeof *request) : NULL;
    if (!request)
        return NULL;
    request->app = &server->app;
    request->connection = connection;
    request->watched = own->watched;
    request->path = strdup(uri);
    request->started_us = clock_us();
    request_end(server, own->request, true);
    own->request = request;
    return request;
}

/* Splits the query off the path. Returns 0 or the status. */
static int read_query(struct http_request *request)
{
    char *query = strchr(request->path, '?');
    if (!query)
        return 0;
    *query = '\0';
    switch (http_query_parse(request, query + 1)) {
    case 0:
        return 0;
    case -ENOMEM:
        return http_problem(request, 500, "internal", "out of memory");
    default:
        return http_problem(request, 400, "bad_query",
            "the query must be correctly escaped UTF-8 of at most %d parameters",
            HTTP_MAX_QUERY_PARAMETERS);
    }
}

/* The length the client announces; 0 when it announces none. */
static uint64_t content_length(const struct http_request *request)
{
    const char *text = http_header(request, "Content-Length");
    return text ? strtoull(text, NULL, 10) : 0;
}

static int refuse_size(struct http_request *request)
{
    return http_problem(request, 413, "payload_too_large", "the body must not exceed %zu bytes",
        request->app->settings.max_body);
}

/* All that can be said before the body has arrived. Returns 0 or the status. */
static int check_head(struct http_request *request)
{
    int status = read_query(request);
    if (!status)
        status = http_route_find(request);
    if (!status)
        status = http_authorize(request);
    if (!status && content_length(request) > request->app->settings.max_body)
        status = refuse_size(request);
    return status;
}

static enum MHD_Result send_reply(struct http_request *request)
{
    return http_reply_send(request) ? MHD_YES : MHD_NO; /* MHD_NO closes the connection */
}

/* The headers have arrived. */
static enum MHD_Result begin(
    struct http_server *server, struct http_request *request, const char *method)
{
    request->headers_seen = true;
    request->method = method;
    http_identify(
        request, http_header(request, "X-Request-Id"), http_header(request, "traceparent"));
    log_context_set(request->request_id, request->traceparent);
    count_in_flight(server, 1);
    set_deadline(request->app, request->watched, BODY_WITHIN);

    const char *complaint = http_framing_complaint(request);
    if (complaint) {
        http_problem(request, 400, "bad_request", "%s", complaint);
        request->close = true;
        return send_reply(request);
    }
    request->discard = check_head(request) != 0;
    if (!request->discard)
        return MHD_YES;

    /* A client that waits for "100 Continue" has sent nothing yet, and need not. */
    bool waits = http_header(request, "Expect") != NULL;
    if (waits || content_length(request) > DISCARD_MAX) {
        request->close = true;
        return send_reply(request);
    }
    return MHD_YES;
}

static bool grow_body(struct http_request *request, size_t needed)
{
    if (needed <= request->body_capacity)
        return true;
    size_t capacity = request->body_capacity ? request->body_capacity : 1024;
    while (capacity < needed)
        capacity *= 2;
    char *body = realloc(request->body, capacity);
    if (!body)
        return false;
    request->body = body;
    request->body_capacity = capacity;
    return true;
}

/* A part of the body has arrived. */
static enum MHD_Result receive(struct http_request *request, const char *data, size_t length)
{
    if (!request->discard && request->body_length + length > request->app->settings.max_body) {
        refuse_size(request);
        request->discard = true;
    }
    if (request->discard) {
        request->discarded += length;
        return request->discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
    }
    if (!grow_body(request, request->body_length + length + 1))
        return MHD_NO;
    memcpy(request->body + request->body_length, data, length);
    request->body_length += length;
    request->body[request->body_length] = '\0';
    return MHD_YES;
}

/* libmicrohttpd counts the time in a handler as idle. Setting the timeout to 0 and back starts the
 * clock anew, so that a slow answer is not thrown away. */
static void run_handler(struct http_request *request)
{
    unsigned timeout = (unsigned)request->app->settings.idle_timeout_s;
    http_watch_within(request->watched, 0);
    MHD_set_connection_option(request->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
    request->route->handler(request);
    MHD_set_connection_option(request->connection, MHD_CONNECTION_OPTION_TIMEOUT, timeout);

    if (request->reply.status == 0) {
        log_error("handler sent no reply", LOG_TEXT("route", request->route->path));
        http_problem(request, 500, "internal", "this request could not be answered");
    }
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *upload_data, size_t *upload_data_size,
    void **con_cls)
{
    (void)connection;
    (void)url;
    (void)version;
    struct http_request *request = *con_cls;
    if (!request || !request->path)
        return MHD_NO;
    if (!request->headers_seen)
        return begin(cls, request, method);
    if (request->answered)
        return MHD_YES;
    if (*upload_data_size > 0) {
        size_t length = *upload_data_size;
        *upload_data_size = 0;
        return receive(request, upload_data, length);
    }
    if (!request->discard)
        run_handler(request);
    set_deadline(request->app, request->watched, ANSWER_WITHIN);
    return send_reply(request);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
    enum MHD_RequestTerminationCode why)
{
    struct http_server *server = cls;
    struct http_connection *own = connection_of(connection);
    struct http_request *request = *con_cls;
    *con_cls = NULL;
    if (!own || !request)
        return;
    own->request = NULL;
    if (request->headers_seen)
        set_deadline(&server->app, own->watched, HEAD_WITHIN);
    request_end(server, request, why != MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

/* Complaints about clients, which the access log covers. */
static void on_daemon_log(void *cls, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
static void on_daemon_log(void *cls, const char *format, va_list arguments)
{
    (void)cls;
    char text[512];
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = '\0';
    log_debug("libmicrohttpd", LOG_TEXT("detail", text));
}

/* A listening socket made here rather than by libmicrohttpd: the reason of a failure is known. */
static int listen_on(const char *address, uint16_t port)
{
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    if (getaddrinfo(address, service, &hints, &found))
        return -EADDRNOTAVAIL;

    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int yes = 1;
    int error = 0;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) ||
        bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, SOMAXCONN))
        error = -errno;
    freeaddrinfo(found);
    if (!error)
        return fd;
    if (fd >= 0)
        close(fd);
    return error == -EADDRINUSE || error == -EACCES || error == -EADDRNOTAVAIL ? error : -EIO;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char port[8];
    if (getsockname(fd, (struct sockaddr *)&address, &length) ||
        getnameinfo(
            (struct sockaddr *)&address, length, NULL, 0, port, sizeof port, NI_NUMERICSERV))
        return 0;
    return (uint16_t)strtoul(port, NULL, 10);
}

static struct MHD_Daemon *start_daemon(struct http_server *server, int listen_fd)
{
    return MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                                MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG,
        server->port, NULL, NULL, on_request, server,                                 //
        MHD_OPTION_EXTERNAL_LOGGER, on_daemon_log, NULL,                              //
        MHD_OPTION_LISTEN_SOCKET, listen_fd,                                          //
        MHD_OPTION_URI_LOG_CALLBACK, on_request_line, server,                         //
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,                          //
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,                            //
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)server->app.settings.max_connections,  //
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)server->app.settings.idle_timeout_s, //
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,          //
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK_BYTES,                     //
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
}

static void server_free(struct http_server *server)
{
    if (!server)
        return;
    pthread_cond_destroy(&server->idle);
    pthread_mutex_destroy(&server->lock);
    free((char *)server->app.settings.program);
    free((char *)server->app.settings.address);
    http_watch_stop(server->watch);
    free(server);
}

static struct http_server *server_new(const struct http_settings *settings)
{
    struct http_server *server = calloc(1, sizeof *server);
    if (!server)
        return NULL;
    clock_condition_init(&server->idle);
    pthread_mutex_init(&server->lock, NULL);
    server->app.settings = *settings;
    server->app.settings.program = strdup(settings->program);
    server->app.settings.address = strdup(settings->address);
    server->watch = http_watch_start();
    if (server->app.settings.program && server->app.settings.address && server->watch)
        return server;
    server_free(server);
    return NULL;
}

int http_server_start(const struct http_settings *settings, struct http_server **ret_server)
{
    for (size_t i = 0; i < settings->route_count && !settings->auth; i++) {
        if (settings->routes[i].access != HTTP_OPEN)
            return -EINVAL;
    }
    struct http_server *server = server_new(settings);
    if (!server)
        return -ENOMEM;
    int fd = listen_on(settings->address, settings->port);
    if (fd < 0) {
        server_free(server);
        return fd;
    }
    server->port = port_of(fd);
    http_metrics_start(server->app.settings.program, settings->pool);
    server->daemon = start_daemon(server, fd);
    if (!server->daemon) {
        close(fd);
        server_free(server);
        return -EIO;
    }
    *ret_server = server;
    return 0;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

static void wait_until_idle(struct http_server *server, int timeout_ms)
{
    int64_t until_ms = clock_ms() + timeout_ms;
    pthread_mutex_lock(&server->lock);
    int error = 0;
    while (server->in_flight > 0 && !error)
        error = clock_wait(&server->idle, &server->lock, until_ms);
    pthread_mutex_unlock(&server->lock);
}

void http_server_stop(struct http_server *server, int timeout_ms)
{
    if (!server)
        return;
    atomic_store(&server->app.stopping, true);
    MHD_socket fd = MHD_quiesce_daemon(server->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
    wait_until_idle(server, timeout_ms);
    MHD_stop_daemon(server->daemon); /* closes what is still open and joins its threads */
    http_metrics_start(server->app.settings.program, NULL);
    server_free(server);
}
