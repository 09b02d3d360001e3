/* Requests to http:// URLs: libcurl finds the name and connects, the rest is done here, on one
 * connection that is kept. For the many small requests of a relay that is worth it: libcurl builds
 * and parses each URL and header anew and takes more than half of the processor time of a drain
 * (see docs/benchmarks.md); this takes a sendmsg and a recv. */
#include "outbox-relay/http1.h"
#include "outbox-relay/plain_url.h"
#include "outbox-relay/retry.h"
#include "outbox-relay/transport_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A connection that has been idle for longer is not used again: something in between may have
 * forgotten it without telling. */
#define MAX_IDLE_US (60 * INT64_C(1000000))
#define NOT_HTTP "the answer is not HTTP/1.1"

enum plain_state {
    PLAIN_CLOSED,
    PLAIN_CONNECTING,
    PLAIN_IDLE,
    PLAIN_SENDING, /* an answer may come already */
    PLAIN_READING,
};

struct plain {
    struct transfer *transfer;
    enum plain_state state;
    struct job connect; /* has a handle only while connecting */
    struct watch watch;
    int64_t idle_since_us;
    bool reused;  /* the connection has carried a request before */
    bool answers; /* bytes of the answer have come */

    struct timer timer; /* goes off at the deadline or before */
    int64_t deadline_us, timeout_ms;

    char *prefix; /* request line and fields that are the same in each request */
    size_t prefix_length;
    struct buffer head;
    const char *body; /* borrowed from the request */
    size_t body_length, sent;
    struct http1 http1;
};

static struct loop *loop_of(const struct plain *plain)
{
    return plain->transfer->transport->loop;
}

/* Connection -------------------------------------------------------------------------------------
 */

static void close_connection(struct plain *plain)
{
    int fd = plain->watch.fd;
    job_release(plain->transfer->transport, &plain->connect);
    loop_unwatch(loop_of(plain), &plain->watch);
    if (fd >= 0)
        close(fd);
    plain->state = PLAIN_CLOSED;
}

static int connect_anew(struct plain *plain)
{
    struct transport *transport = plain->transfer->transport;
    plain->reused = false;
    int ret = job_init(transport, &plain->connect, plain->transfer->error);
    if (ret < 0)
        return ret;
    CURL *easy = plain->connect.easy;
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    if (curl_easy_setopt(easy, CURLOPT_URL, plain->transfer->url) != CURLE_OK)
        ret = -ENOMEM;
    if (ret == 0)
        ret = job_start(transport, &plain->connect);
    if (ret < 0)
        close_connection(plain);
    else
        plain->state = PLAIN_CONNECTING;
    return ret;
}

/* End of a request -------------------------------------------------------------------------------
 * Nothing may be done after these: the owner starts the next request, or frees the transfer. */

static void fail(struct plain *plain, enum response_outcome outcome, const char *error)
{
    close_connection(plain);
    transfer_end(plain->transfer,
        &(struct response){.outcome = outcome, .retry_after_s = -1, .error = error});
}

/* The connection has gone. One that was idle may have been closed by the receiver just when the
 * request was sent: that is no failure, and nothing of an answer has been seen. */
static void lose(struct plain *plain, const char *error)
{
    if (plain->reused && !plain->answers) {
        close_connection(plain);
        plain->sent = 0;
        if (connect_anew(plain) < 0)
            fail(plain, RESPONSE_NO_CONNECT, "out of memory");
        return;
    }
    fail(plain, plain->sent > 0 ? RESPONSE_BROKEN : RESPONSE_NO_CONNECT, error);
}

static void finish(struct plain *plain, bool extra_bytes)
{
    const struct http1 *answer = &plain->http1;
    struct response response = {
        .outcome = RESPONSE_STATUS, .status = answer->status, .retry_after_s = -1};
    if (judge(&response) == VERDICT_DOWN)
        response.retry_after_s = retry_after_parse(answer->retry_after, time(NULL));
    if (answer->keep_alive && !extra_bytes && plain->state == PLAIN_READING) {
        plain->state = PLAIN_IDLE;
        plain->idle_since_us = loop_now(loop_of(plain));
    } else {
        close_connection(plain);
    }
    transfer_end(plain->transfer, &response);
}

static void on_timer(void *context)
{
    struct plain *plain = context;
    char text[64];
    if (plain->state == PLAIN_CLOSED || plain->state == PLAIN_IDLE)
        return;
    int64_t left = plain->deadline_us - loop_now(loop_of(plain));
    if (left > 0) { /* it was set for an earlier request */
        loop_timer_start(loop_of(plain), &plain->timer, left);
        return;
    }
    snprintf(text, sizeof(text), "no answer in %" PRId64 " ms", plain->timeout_ms);
    bool connecting = plain->state == PLAIN_CONNECTING;
    fail(plain, connecting ? RESPONSE_NO_CONNECT : RESPONSE_TIMEOUT, text);
}

/* Sending ----------------------------------------------------------------------------------------
 */

static void write_head(struct plain *plain, const struct request *request)
{
    struct buffer *head = &plain->head;
    char length[32];
    int digits = snprintf(length, sizeof(length), "%zu\r\n\r\n", request->body_length);
    const struct {
        const char *name, *value;
    } fields[] = {{"Content-Type: ", request->content_type}, {"webhook-id: ", request->webhook_id},
        {"webhook-timestamp: ", request->webhook_timestamp},
        {"webhook-signature: ", request->webhook_signature}};
    buffer_clear(head, SIZE_MAX);
    buffer_add(head, plain->prefix, plain->prefix_length);
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        buffer_add(head, fields[i].name, strlen(fields[i].name));
        buffer_add(head, fields[i].value, strlen(fields[i].value));
        BUFFER_ADD(head, "\r\n");
    }
    BUFFER_ADD(head, "Content-Length: ");
    buffer_add(head, length, (size_t)digits);
}

/* Errors: what sendmsg and epoll_ctl gave. */
static int send_more(struct plain *plain)
{
    size_t head_length = plain->head.length, total = head_length + plain->body_length;
    while (plain->sent < total) {
        size_t head_sent = plain->sent < head_length ? plain->sent : head_length;
        size_t body_sent = plain->sent - head_sent;
        struct iovec parts[] = {
            {plain->head.data + head_sent, head_length - head_sent},
            {(void *)(plain->body + body_sent), plain->body_length - body_sent}, /* only read */
        };
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts)};
        ssize_t sent = sendmsg(plain->watch.fd, &message, MSG_NOSIGNAL);
        if (sent >= 0)
            plain->sent += (size_t)sent;
        else if (errno == EAGAIN)
            return loop_watch(loop_of(plain), &plain->watch, plain->watch.fd, EPOLLIN | EPOLLOUT);
        else if (errno != EINTR)
            return -errno;
    }
    plain->state = PLAIN_READING;
    return loop_watch(loop_of(plain), &plain->watch, plain->watch.fd, EPOLLIN);
}

static int begin_sending(struct plain *plain)
{
    plain->state = PLAIN_SENDING;
    plain->sent = 0;
    plain->answers = false;
    http1_begin(&plain->http1);
    return send_more(plain);
}

static void on_connected(void *context, CURLcode code)
{
    struct plain *plain = context;
    struct transfer *transfer = plain->transfer;
    curl_socket_t socket = -1;
    if (code != CURLE_OK) {
        fail(plain, RESPONSE_NO_CONNECT,
            transfer->error[0] ? transfer->error : curl_easy_strerror(code));
        return;
    }
    /* A descriptor of our own: libcurl's goes with its handle. */
    curl_easy_getinfo(plain->connect.easy, CURLINFO_ACTIVESOCKET, &socket);
    int fd = fcntl(socket, F_DUPFD_CLOEXEC, 0);
    job_release(transfer->transport, &plain->connect);
    if (fd < 0 || loop_watch(loop_of(plain), &plain->watch, fd, EPOLLIN) < 0) {
        if (fd >= 0)
            close(fd);
        fail(plain, RESPONSE_NO_CONNECT, "out of descriptors or memory");
        return;
    }
    int ret = begin_sending(plain);
    if (ret < 0)
        lose(plain, strerror(-ret));
}

int plain_start(struct plain *plain, const struct request *request)
{
    struct loop *loop = loop_of(plain);
    write_head(plain, request);
    if (plain->head.failed)
        return -ENOMEM;
    plain->body = request->body;
    plain->body_length = request->body_length;
    plain->timeout_ms = request->timeout_ms;
    plain->deadline_us = loop_now(loop) + request->timeout_ms * INT64_C(1000);
    if (!timer_running(&plain->timer) || plain->timer.due_us > plain->deadline_us)
        loop_timer_start(loop, &plain->timer, request->timeout_ms * INT64_C(1000));
    if (plain->state == PLAIN_IDLE && loop_now(loop) - plain->idle_since_us < MAX_IDLE_US) {
        plain->reused = true;
        if (begin_sending(plain) == 0)
            return 0;
    }
    if (plain->state != PLAIN_CLOSED)
        close_connection(plain);
    return connect_anew(plain);
}

/* Receiving --------------------------------------------------------------------------------------
 */

static void on_body(void *context, const char *data, size_t length)
{
    transfer_add_body(context, data, length);
}

static void on_end(struct plain *plain)
{
    if (plain->answers && http1_end(&plain->http1) == 0)
        finish(plain, false);
    else
        lose(plain, "the connection was closed without a whole answer");
}

static void receive(struct plain *plain)
{
    char *data = plain->transfer->transport->received;
    ssize_t got = recv(plain->watch.fd, data, RECEIVE_SIZE, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (plain->state == PLAIN_IDLE) {
        close_connection(plain); /* by the receiver; or it says what nobody has asked for */
        return;
    }
    if (got < 0) {
        lose(plain, strerror(errno));
        return;
    }
    if (got == 0) {
        on_end(plain);
        return;
    }
    plain->answers = true;
    ssize_t taken = http1_feed(&plain->http1, data, (size_t)got);
    if (taken < 0)
        fail(plain, RESPONSE_BROKEN, NOT_HTTP);
    else if (plain->http1.state == HTTP1_DONE)
        finish(plain, taken < got);
}

static void on_ready(void *context, uint32_t events)
{
    struct plain *plain = context;
    if (events & EPOLLOUT && plain->state == PLAIN_SENDING) {
        int ret = send_more(plain);
        /* An answer may have come before the receiver closed its side. */
        if (ret < 0 && !(events & EPOLLIN)) {
            lose(plain, strerror(-ret));
            return;
        }
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        receive(plain);
}

/* Life -------------------------------------------------------------------------------------------
 */

int plain_new(struct transfer *transfer, const char *url, struct plain **ret_plain)
{
    struct plain *plain = calloc(1, sizeof(*plain));
    if (!plain)
        return -ENOMEM;
    plain->transfer = transfer;
    plain->watch = (struct watch){.fd = -1, .ready = on_ready, .context = plain};
    plain->timer = (struct timer){.fire = on_timer, .context = plain};
    plain->connect = (struct job){.ended = on_connected, .context = plain};
    plain->http1 = (struct http1){.on_body = on_body, .context = transfer};
    const struct transport_settings *settings = &transfer->transport->settings;
    int ret = *settings->proxy ? -ENOTSUP : plain_prefix(url, settings->user_agent, &plain->prefix);
    if (ret < 0) {
        plain_free(plain);
        return ret;
    }
    plain->prefix_length = strlen(plain->prefix);
    *ret_plain = plain;
    return 0;
}

void plain_free(struct plain *plain)
{
    if (!plain)
        return;
    close_connection(plain);
    loop_timer_stop(loop_of(plain), &plain->timer);
    buffer_release(&plain->head);
    free(plain->prefix);
    free(plain);
}
