/* See http1_transfer.h. */
#include "outbox-relay/http/http1_transfer.h"
#include "outbox-relay/base/buffer.h"
#include "outbox-relay/http/answer_body.h"
#include "outbox-relay/http/curl_loop.h"
#include "outbox-relay/http/http1.h"
#include "outbox-relay/http/retry_after.h"
#include "outbox-relay/http/url.h"
#include "shared/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define US_PER_S INT64_C(1000000)
#define RECEIVE_SIZE 16384
#define NOT_HTTP "the answer is not HTTP/1.1"

enum http1_transfer_state {
    CLOSED,
    CONNECTING,
    IDLE,
    SENDING, /* an answer may come already */
    READING,
};

struct http1_transfer {
    struct exchange exchange;
    const char *url; /* borrowed */
    enum http1_transfer_state state;
    struct curl_job connect; /* has a handle only while connecting */
    struct watch watch;
    int64_t connected_us, idle_since_us;
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

/* Connection -------------------------------------------------------------------------------------
 */

static void close_connection(struct http1_transfer *transfer)
{
    int fd = transfer->watch.fd;
    curl_job_release(transfer->exchange.curl, &transfer->connect);
    loop_unwatch(transfer->exchange.loop, &transfer->watch);
    if (fd >= 0)
        close(fd);
    transfer->state = CLOSED;
}

static int connect_anew(struct http1_transfer *transfer)
{
    struct curl_loop *curl = transfer->exchange.curl;
    transfer->reused = false;
    int ret = curl_job_init(curl, &transfer->connect);
    if (ret < 0)
        return ret;
    CURL *easy = transfer->connect.easy;
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    if (curl_easy_setopt(easy, CURLOPT_URL, transfer->url) != CURLE_OK)
        ret = -ENOMEM;
    if (ret == 0)
        ret = curl_job_start(curl, &transfer->connect);
    if (ret < 0)
        close_connection(transfer);
    else
        transfer->state = CONNECTING;
    return ret;
}

/* End of a request -------------------------------------------------------------------------------
 * Nothing may be done after these: the owner starts the next request, or frees the transfer. */

static void fail(struct http1_transfer *transfer, enum response_outcome outcome, const char *error)
{
    close_connection(transfer);
    transfer->exchange.done(transfer->exchange.context,
        &(struct response){.outcome = outcome, .retry_after_s = -1, .error = error});
}

/* The connection has gone. One that was idle may have been closed by the receiver just when the
 * request was sent: that is no failure, and nothing of an answer has been seen. */
static void lose(struct http1_transfer *transfer, const char *error)
{
    if (transfer->reused && !transfer->answers) {
        close_connection(transfer);
        transfer->sent = 0;
        if (connect_anew(transfer) < 0)
            fail(transfer, RESPONSE_NO_CONNECT, "out of memory");
        return;
    }
    fail(transfer, transfer->sent > 0 ? RESPONSE_BROKEN : RESPONSE_NO_CONNECT, error);
}

static void finish(struct http1_transfer *transfer, bool extra_bytes)
{
    const struct http1 *answer = &transfer->http1;
    struct response response = {
        .outcome = RESPONSE_STATUS, .status = answer->status, .retry_after_s = -1};
    if (*answer->retry_after)
        response.retry_after_s = retry_after_parse(answer->retry_after, time(NULL));
    if (answer->keep_alive && !extra_bytes && transfer->state == READING) {
        transfer->state = IDLE;
        transfer->idle_since_us = loop_now(transfer->exchange.loop);
    } else {
        close_connection(transfer);
    }
    transfer->exchange.done(transfer->exchange.context, &response);
}

static void on_timer(void *context)
{
    struct http1_transfer *transfer = context;
    char text[64];
    if (transfer->state == CLOSED || transfer->state == IDLE)
        return;
    int64_t left = transfer->deadline_us - loop_now(transfer->exchange.loop);
    if (left > 0) { /* it was set for an earlier request */
        loop_timer_start(transfer->exchange.loop, &transfer->timer, left);
        return;
    }
    snprintf(text, sizeof(text), "no answer in %" PRId64 " ms", transfer->timeout_ms);
    bool connecting = transfer->state == CONNECTING;
    fail(transfer, connecting ? RESPONSE_NO_CONNECT : RESPONSE_TIMEOUT, text);
}

/* Sending ----------------------------------------------------------------------------------------
 */

static void write_head(struct http1_transfer *transfer, const struct request *request)
{
    struct buffer *head = &transfer->head;
    char length[32];
    int digits = snprintf(length, sizeof(length), "%zu\r\n\r\n", request->body_length);
    const struct {
        const char *name, *value;
    } fields[] = {{"Content-Type: ", request->content_type}, {"webhook-id: ", request->webhook_id},
        {"webhook-timestamp: ", request->webhook_timestamp},
        {"webhook-signature: ", request->webhook_signature}};
    buffer_clear(head, SIZE_MAX);
    buffer_add(head, transfer->prefix, transfer->prefix_length);
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        buffer_add(head, fields[i].name, strlen(fields[i].name));
        buffer_add(head, fields[i].value, strlen(fields[i].value));
        BUFFER_ADD(head, "\r\n");
    }
    BUFFER_ADD(head, "Content-Length: ");
    buffer_add(head, length, (size_t)digits);
}

/* Errors: what sendmsg and epoll_ctl gave. */
static int send_more(struct http1_transfer *transfer)
{
    size_t head_length = transfer->head.length, total = head_length + transfer->body_length;
    while (transfer->sent < total) {
        size_t head_sent = transfer->sent < head_length ? transfer->sent : head_length;
        size_t body_sent = transfer->sent - head_sent;
        struct iovec parts[] = {
            {transfer->head.data + head_sent, head_length - head_sent},
            {(void *)(transfer->body + body_sent),
                transfer->body_length - body_sent}, /* only read */
        };
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts)};
        ssize_t sent = sendmsg(transfer->watch.fd, &message, MSG_NOSIGNAL);
        if (sent >= 0)
            transfer->sent += (size_t)sent;
        else if (errno == EAGAIN)
            return loop_watch(
                transfer->exchange.loop, &transfer->watch, transfer->watch.fd, EPOLLIN | EPOLLOUT);
        else if (errno != EINTR)
            return -errno;
    }
    transfer->state = READING;
    return loop_watch(transfer->exchange.loop, &transfer->watch, transfer->watch.fd, EPOLLIN);
}

static int begin_sending(struct http1_transfer *transfer)
{
    transfer->state = SENDING;
    transfer->sent = 0;
    transfer->answers = false;
    http1_begin(&transfer->http1);
    return send_more(transfer);
}

static void on_connected(void *context, CURLcode code)
{
    struct http1_transfer *transfer = context;
    curl_socket_t socket = -1;
    if (code != CURLE_OK) {
        fail(transfer, RESPONSE_NO_CONNECT, curl_job_error(&transfer->connect, code));
        return;
    }
    /* A descriptor of our own: libcurl's goes with its handle. */
    curl_easy_getinfo(transfer->connect.easy, CURLINFO_ACTIVESOCKET, &socket);
    int fd = fcntl(socket, F_DUPFD_CLOEXEC, 0);
    curl_job_release(transfer->exchange.curl, &transfer->connect);
    if (fd < 0 || loop_watch(transfer->exchange.loop, &transfer->watch, fd, EPOLLIN) < 0) {
        if (fd >= 0)
            close(fd);
        fail(transfer, RESPONSE_NO_CONNECT, "out of file descriptors or memory");
        return;
    }
    transfer->connected_us = loop_now(transfer->exchange.loop);
    int ret = begin_sending(transfer);
    if (ret < 0)
        lose(transfer, strerror(-ret));
}

/* An old connection is not used again: the name may lead elsewhere by now. */
static bool is_usable(const struct http1_transfer *transfer)
{
    int64_t now = loop_now(transfer->exchange.loop);
    int64_t age_us = transfer->exchange.settings->connection_age_s * US_PER_S;
    return transfer->state == IDLE && now - transfer->connected_us < age_us &&
           now - transfer->idle_since_us < CONNECTION_IDLE_S * US_PER_S;
}

int http1_transfer_start(struct http1_transfer *transfer, const struct request *request)
{
    struct loop *loop = transfer->exchange.loop;
    write_head(transfer, request);
    if (transfer->head.failed)
        return -ENOMEM;
    transfer->body = request->body;
    transfer->body_length = request->body_length;
    transfer->timeout_ms = request->timeout_ms;
    transfer->deadline_us = loop_now(loop) + request->timeout_ms * INT64_C(1000);
    if (!timer_running(&transfer->timer) || transfer->timer.due_us > transfer->deadline_us)
        loop_timer_start(loop, &transfer->timer, request->timeout_ms * INT64_C(1000));
    if (is_usable(transfer)) {
        transfer->reused = true;
        if (begin_sending(transfer) == 0)
            return 0;
    }
    if (transfer->state != CLOSED)
        close_connection(transfer);
    return connect_anew(transfer);
}

/* Receiving --------------------------------------------------------------------------------------
 */

static void on_body(void *context, const char *data, size_t length)
{
    answer_body_add(context, data, length);
}

static void on_end(struct http1_transfer *transfer)
{
    if (transfer->answers && http1_end(&transfer->http1) == 0)
        finish(transfer, false);
    else
        lose(transfer, "the connection was closed before the answer was complete");
}

static void receive(struct http1_transfer *transfer)
{
    char data[RECEIVE_SIZE];
    ssize_t got = recv(transfer->watch.fd, data, sizeof(data), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (transfer->state == IDLE) {
        close_connection(transfer); /* by the receiver; or it says what nobody has asked for */
        return;
    }
    if (got < 0) {
        lose(transfer, strerror(errno));
        return;
    }
    if (got == 0) {
        on_end(transfer);
        return;
    }
    transfer->answers = true;
    ssize_t taken = http1_feed(&transfer->http1, data, (size_t)got);
    if (taken < 0)
        fail(transfer, RESPONSE_BROKEN, NOT_HTTP);
    else if (transfer->http1.state == HTTP1_DONE)
        finish(transfer, taken < got);
}

static void on_ready(void *context, uint32_t events)
{
    struct http1_transfer *transfer = context;
    if (events & EPOLLOUT && transfer->state == SENDING) {
        int ret = send_more(transfer);
        /* An answer may have come before the receiver closed its side. */
        if (ret < 0 && !(events & EPOLLIN)) {
            lose(transfer, strerror(-ret));
            return;
        }
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        receive(transfer);
}

/* Life -------------------------------------------------------------------------------------------
 */

int http1_transfer_new(
    const struct exchange *exchange, const char *url, struct http1_transfer **ret_transfer)
{
    struct http1_transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer)
        return -ENOMEM;
    transfer->exchange = *exchange;
    transfer->url = url;
    transfer->watch = (struct watch){.fd = -1, .ready = on_ready, .context = transfer};
    transfer->timer = (struct timer){.fire = on_timer, .context = transfer};
    transfer->connect = (struct curl_job){.ended = on_connected, .context = transfer};
    transfer->http1 = (struct http1){.on_body = on_body, .context = exchange->body};
    int ret = url_request_prefix(url, exchange->settings->user_agent, &transfer->prefix);
    if (ret < 0) {
        http1_transfer_free(transfer);
        return ret;
    }
    transfer->prefix_length = strlen(transfer->prefix);
    *ret_transfer = transfer;
    return 0;
}

void http1_transfer_free(struct http1_transfer *transfer)
{
    if (!transfer)
        return;
    close_connection(transfer);
    loop_timer_stop(transfer->exchange.loop, &transfer->timer);
    buffer_release(&transfer->head);
    free(transfer->prefix);
    free(transfer);
}
