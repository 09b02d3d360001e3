/* From commit to POST: emits one event at a time on an idle system and receives its POST, all in
 * one process and so by one clock. latency PORT COUNT STATEMENT     the database is libpq's PGHOST
 * etc. STATEMENT emits an event whose payload has "orderId": $1. It runs in a transaction of its
 * own; time 0 is just before COMMIT is sent. Prints a JSON array, for each event: committed_us the
 * answer to COMMIT was read post_us        the first bytes of the POST were read Each event is
 * emitted 20 to 60 ms after the POST of the one before was answered. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 256
#define REQUEST_MAX 16384
#define GIVE_UP_MS 20000
#define WARM_UP 10 /* events that are not counted: connections, caches */

/* A connection of the relay to us, with the request that is being read. */
struct client {
    int fd;
    size_t length;
    char request[REQUEST_MAX + 1];
};

static struct {
    PGconn *database;
    int listener;
    struct client clients[MAX_CONNECTIONS];
    int count;
    long expected;                           /* the number in the payload that is waited for */
    int64_t began_us, committed_us, post_us; /* 0: not yet */
    bool received;                           /* and answered */
} run;

static _Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("latency: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* Receiver ---------------------------------------------------------------------------------------
 */

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 128) < 0)
        fail("port %d: %s", port, strerror(errno));
    return fd;
}

static void accept_client(void)
{
    int one = 1, fd = accept4(run.listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (run.count == MAX_CONNECTIONS)
        fail("more than %d connections", MAX_CONNECTIONS);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    run.clients[run.count].fd = fd;
    run.clients[run.count++].length = 0;
}

/* Length of the whole request; 0 as long as it is not known. */
static size_t request_length(const struct client *client)
{
    const char *end = strstr(client->request, "\r\n\r\n");
    if (!end)
        return 0;
    const char *field = strcasestr(client->request, "\r\ncontent-length:");
    if (!field || field > end)
        fail("a request without content-length");
    return (size_t)(end + 4 - client->request) + strtoul(field + 17, NULL, 10);
}

static void answer(struct client *client, size_t length, int64_t read_us)
{
    static const char ANSWER[] = "HTTP/1.1 204 No Content\r\n\r\n";
    const char *id = strstr(client->request, "\"orderId\"");
    const char *number = id ? id + strspn(id + 9, ": ") + 9 : NULL;
    if (number && strtol(number, NULL, 10) == run.expected && !run.received) {
        run.post_us = read_us;
        run.received = true;
    }
    if (write(client->fd, ANSWER, sizeof(ANSWER) - 1) < 0)
        fail("answer: %s", strerror(errno));
    client->length -= length;
    memmove(client->request, client->request + length, client->length + 1);
}

/* Returns false when the connection has ended. */
static bool serve(struct client *client)
{
    ssize_t got = read(client->fd, client->request + client->length, REQUEST_MAX - client->length);
    int64_t read_us = now_us();
    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    client->length += (size_t)got;
    client->request[client->length] = '\0';
    size_t length = request_length(client);
    if (length > REQUEST_MAX)
        fail("a request of %zu bytes", length);
    if (length > 0 && client->length >= length)
        answer(client, length, read_us);
    return true;
}

/* Serves for up to `timeout_ms`; returns as soon as anything has happened. */
static void serve_once(int timeout_ms)
{
    struct pollfd fds[MAX_CONNECTIONS + 2] = {
        {.fd = run.listener, .events = POLLIN}, {.fd = PQsocket(run.database), .events = POLLIN}};
    int clients = run.count;
    for (int i = 0; i < clients; i++)
        fds[i + 2] = (struct pollfd){.fd = run.clients[i].fd, .events = POLLIN};
    if (poll(fds, (nfds_t)clients + 2, timeout_ms) <= 0)
        return;
    for (int i = clients - 1; i >= 0; i--) {
        if (fds[i + 2].revents == 0 || serve(&run.clients[i]))
            continue;
        close(run.clients[i].fd);
        run.clients[i] = run.clients[--run.count];
    }
    if (fds[0].revents)
        accept_client();
    if (fds[1].revents && !PQconsumeInput(run.database))
        fail("%s", PQerrorMessage(run.database));
}

static void serve_until(int64_t end_us)
{
    for (int64_t left; (left = end_us - now_us()) > 0;)
        serve_once((int)(left / 1000) + 1);
}

/* Emitter ----------------------------------------------------------------------------------------
 */

static void execute(const char *sql, int count, const char *const *values)
{
    PGresult *result = PQexecParams(run.database, sql, count, NULL, values, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail("%s: %s", sql, PQerrorMessage(run.database));
    PQclear(result);
}

/* Whether COMMIT has been answered. */
static bool committed(void)
{
    if (PQisBusy(run.database))
        return false;
    for (PGresult *result; (result = PQgetResult(run.database)) != NULL; PQclear(result))
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            fail("commit: %s", PQerrorMessage(run.database));
    return true;
}

static void measure(long number, const char *statement)
{
    char text[24];
    snprintf(text, sizeof(text), "%ld", number);
    execute("begin", 0, NULL);
    execute(statement, 1, (const char *const[]){text});
    run.expected = number;
    run.received = false;
    run.committed_us = run.post_us = 0;
    run.began_us = now_us();
    if (!PQsendQuery(run.database, "commit"))
        fail("commit: %s", PQerrorMessage(run.database));
    while (!run.committed_us || !run.received) {
        serve_once(100);
        if (!run.committed_us && committed())
            run.committed_us = now_us();
        if (now_us() - run.began_us > GIVE_UP_MS * INT64_C(1000))
            fail("no POST for event %ld in %d ms", number, GIVE_UP_MS);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: latency PORT COUNT STATEMENT\n");
        return 2;
    }
    long count = strtol(argv[2], NULL, 10);
    run.listener = listen_on((uint16_t)strtol(argv[1], NULL, 10));
    run.database = PQconnectdb("");
    if (PQstatus(run.database) != CONNECTION_OK)
        fail("%s", PQerrorMessage(run.database));
    srandom(1);
    long base = (long)time(NULL) % 1000000 * 1000; /* so that no event of an earlier run is taken */
    printf("[");
    for (long i = 1; i <= count + WARM_UP; i++) {
        measure(base + i, argv[3]);
        if (i > WARM_UP)
            printf("%s\n{\"committed_us\": %" PRId64 ", \"post_us\": %" PRId64 "}",
                i > WARM_UP + 1 ? "," : "", run.committed_us - run.began_us,
                run.post_us - run.began_us);
        serve_until(now_us() + 20000 + random() % 40000);
    }
    printf("]\n");
    PQfinish(run.database);
    return 0;
}
