/* See transport.h. The multi handle's sockets and its timer live in the loop; every transfer keeps
 * its easy handle, its header list and its buffers, so that a request allocates next to nothing. */
#include "outbox-relay/transport.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define HEADER_SIZE 400
#define KEEP_BODY 4096 /* a larger answer's memory is given back */
/* A container that comes back may have another address: not the 60 s of curl's default. */
#define DNS_CACHE_S 3L

struct transport {
    struct loop *loop;
    CURLM *multi;
    struct timer timer;
    struct socket_watch *watches; /* those in use */
    struct transport_settings settings;
};

/* One socket of the multi handle. */
struct socket_watch {
    struct watch watch;
    struct transport *transport;
    struct socket_watch *previous, *next;
};

enum header { CONTENT_TYPE, WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE, EXPECT, HEADERS };

struct transfer {
    struct transport *transport;
    CURL *easy;
    bool running;
    struct curl_slist headers[HEADERS]; /* linked once; the texts are rewritten in place */
    char header_text[HEADERS][HEADER_SIZE];
    char *url; /* as it is set */
    int64_t timeout_ms;
    char error[CURL_ERROR_SIZE];
    struct buffer body;
    void (*done)(void *context, const struct response *response);
    void *context;
};

/* Sockets and timer ------------------------------------------------------------------------------
 */

/* Tells the owners of the requests that have ended. */
static void collect(struct transport *transport);

static void on_socket(void *context, uint32_t events)
{
    struct socket_watch *socket = context;
    struct transport *transport = socket->transport;
    int running, mask = 0;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        mask |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        mask |= CURL_CSELECT_OUT;
    if (events & EPOLLERR)
        mask |= CURL_CSELECT_ERR;
    curl_multi_socket_action(transport->multi, socket->watch.fd, mask, &running);
    collect(transport);
}

static void on_timer(void *context)
{
    struct transport *transport = context;
    int running;
    curl_multi_socket_action(transport->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(transport);
}

static void drop_socket(struct transport *transport, struct socket_watch *socket)
{
    loop_unwatch(transport->loop, &socket->watch);
    if (socket->previous)
        socket->previous->next = socket->next;
    else
        transport->watches = socket->next;
    if (socket->next)
        socket->next->previous = socket->previous;
    free(socket);
}

static struct socket_watch *add_socket(struct transport *transport, curl_socket_t fd)
{
    struct socket_watch *socket = calloc(1, sizeof(*socket));
    if (!socket)
        return NULL;
    socket->transport = transport;
    socket->watch = (struct watch){.fd = -1, .ready = on_socket, .context = socket};
    socket->next = transport->watches;
    if (socket->next)
        socket->next->previous = socket;
    transport->watches = socket;
    curl_multi_assign(transport->multi, fd, socket);
    return socket;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *assigned)
{
    (void)easy;
    struct transport *transport = context;
    struct socket_watch *socket = assigned;
    if (what == CURL_POLL_REMOVE) {
        if (socket)
            drop_socket(transport, socket);
        return 0;
    }
    uint32_t events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
                      (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    if (!socket && !(socket = add_socket(transport, fd)))
        return -1;
    return loop_watch(transport->loop, &socket->watch, (int)fd, events) < 0 ? -1 : 0;
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct transport *transport = context;
    if (timeout_ms < 0)
        loop_timer_stop(transport->loop, &transport->timer);
    else
        loop_timer_start(transport->loop, &transport->timer, timeout_ms * INT64_C(1000));
    return 0;
}

/* Transport --------------------------------------------------------------------------------------
 */

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

int transport_new(
    struct loop *loop, const struct transport_settings *settings, struct transport **ret_transport)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
    struct transport *transport = calloc(1, sizeof(*transport));
    if (!transport)
        return -ENOMEM;
    transport->loop = loop;
    transport->settings = *settings;
    transport->timer = (struct timer){.fire = on_timer, .context = transport};
    transport->multi = curl_multi_init();
    if (!transport->multi) {
        free(transport);
        return -ENOMEM;
    }
    curl_multi_setopt(transport->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(transport->multi, CURLMOPT_SOCKETDATA, transport);
    curl_multi_setopt(transport->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(transport->multi, CURLMOPT_TIMERDATA, transport);
    *ret_transport = transport;
    return 0;
}

void transport_free(struct transport *transport)
{
    if (!transport)
        return;
    curl_multi_cleanup(transport->multi);
    while (transport->watches)
        drop_socket(transport, transport->watches);
    loop_timer_stop(transport->loop, &transport->timer);
    free(transport);
}

/* Transfers --------------------------------------------------------------------------------------
 */

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    size_t length = size * count, room = RESPONSE_MAX_BODY - transfer->body.length;
    buffer_add(&transfer->body, data, length < room ? length : room);
    return length;
}

static void set_options(struct transfer *transfer)
{
    const struct transport_settings *settings = &transfer->transport->settings;
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, settings->proxy);
    if (*settings->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, settings->ca_file);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, settings->user_agent);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)settings->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, DNS_CACHE_S);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
}

int transfer_new(struct transport *transport,
    void (*done)(void *context, const struct response *response), void *context,
    struct transfer **ret_transfer)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer)
        return -ENOMEM;
    transfer->easy = curl_easy_init();
    if (!transfer->easy) {
        free(transfer);
        return -ENOMEM;
    }
    transfer->transport = transport;
    transfer->done = done;
    transfer->context = context;
    for (int i = 0; i < HEADERS; i++)
        transfer->headers[i] = (struct curl_slist){.data = transfer->header_text[i],
            .next = i + 1 < HEADERS ? &transfer->headers[i + 1] : NULL};
    strcpy(transfer->header_text[EXPECT], "Expect:"); /* never wait for 100 Continue */
    set_options(transfer);
    *ret_transfer = transfer;
    return 0;
}

void transfer_free(struct transfer *transfer)
{
    if (!transfer)
        return;
    if (transfer->running)
        curl_multi_remove_handle(transfer->transport->multi, transfer->easy);
    curl_easy_cleanup(transfer->easy);
    free(transfer->url);
    buffer_release(&transfer->body);
    free(transfer);
}

static int set_url(struct transfer *transfer, const char *url)
{
    if (transfer->url && strcmp(transfer->url, url) == 0)
        return 0;
    char *copy = strdup(url);
    if (!copy)
        return -ENOMEM;
    free(transfer->url);
    transfer->url = copy;
    return curl_easy_setopt(transfer->easy, CURLOPT_URL, url) == CURLE_OK ? 0 : -ENOMEM;
}

static void write_header(
    struct transfer *transfer, enum header header, const char *name, const char *value)
{
    char *text = transfer->header_text[header];
    size_t name_length = strlen(name), length = strlen(value);
    if (name_length + length >= HEADER_SIZE)
        length = HEADER_SIZE - 1 - name_length;
    memcpy(text, name, name_length);
    memcpy(text + name_length, value, length);
    text[name_length + length] = '\0';
}

int transfer_start(struct transfer *transfer, const struct request *request)
{
    if (transfer->running)
        return -EBUSY;
    int ret = set_url(transfer, request->url);
    if (ret < 0)
        return ret;
    write_header(transfer, CONTENT_TYPE, "Content-Type: ", request->content_type);
    write_header(transfer, WEBHOOK_ID, "webhook-id: ", request->webhook_id);
    write_header(transfer, WEBHOOK_TIMESTAMP, "webhook-timestamp: ", request->webhook_timestamp);
    write_header(transfer, WEBHOOK_SIGNATURE, "webhook-signature: ", request->webhook_signature);
    curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, request->body);
    curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length);
    if (transfer->timeout_ms != request->timeout_ms) {
        curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
        transfer->timeout_ms = request->timeout_ms;
    }
    buffer_clear(&transfer->body, KEEP_BODY);
    transfer->error[0] = '\0';
    CURLMcode code = curl_multi_add_handle(transfer->transport->multi, transfer->easy);
    if (code != CURLM_OK)
        return code == CURLM_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
    transfer->running = true;
    return 0;
}

/* Answers ----------------------------------------------------------------------------------------
 */

static enum response_outcome outcome_of(CURL *easy, CURLcode code)
{
    curl_off_t sent = 0;
    switch (code) {
    case CURLE_OK:
        return RESPONSE_STATUS;
    case CURLE_OPERATION_TIMEDOUT:
        return RESPONSE_TIMEOUT;
    default:
        curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &sent);
        return sent > 0 ? RESPONSE_BROKEN : RESPONSE_NO_CONNECT;
    }
}

static void finish(struct transfer *transfer, CURLcode code)
{
    struct response response = {.outcome = outcome_of(transfer->easy, code), .retry_after_s = -1};
    curl_off_t retry_after = 0;
    long status = 0;
    if (response.outcome == RESPONSE_STATUS) {
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status == 429 || status >= 500)
            curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after);
        if (retry_after > 0)
            response.retry_after_s = retry_after;
    } else {
        response.error = transfer->error[0] ? transfer->error : curl_easy_strerror(code);
    }
    response.status = (int)status;
    response.body_length = transfer->body.failed ? 0 : transfer->body.length;
    buffer_add(&transfer->body, "", 1);
    response.body = transfer->body.failed ? "" : transfer->body.data;
    transfer->done(transfer->context, &response);
}

static void collect(struct transport *transport)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(transport->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result; /* gone once the handle is removed */
        struct transfer *transfer;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
        curl_multi_remove_handle(transport->multi, easy);
        transfer->running = false;
        finish(transfer, code);
    }
}
