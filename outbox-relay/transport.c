/* See transport.h. The multi handle's sockets and its timer live in the loop; a transfer keeps what
 * it has made for a URL, so that a request allocates next to nothing. */
#include "outbox-relay/transport_parts.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>

/* Of an answer so much is kept, which is plenty for an error's text, and its memory between
 * requests; more of one that may name the failed events of a batch. */
#define KEEP_BODY 4096
/* All answers together: receivers must not be able to fill the memory. */
#define ANSWERS_AT_ONCE 4194304

/* One socket of the multi handle. */
struct socket_watch {
    struct watch watch;
    struct transport *transport;
    struct socket_watch *previous, *next;
};

/* Sockets and timer ------------------------------------------------------------------------------
 */

/* Tells the owners of the jobs that have ended. */
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

/* Jobs -------------------------------------------------------------------------------------------
 */

int job_init(struct transport *transport, struct job *job, char error[CURL_ERROR_SIZE])
{
    const struct transport_settings *settings = &transport->settings;
    CURL *easy = job->easy = curl_easy_init();
    if (!easy)
        return -ENOMEM;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, job);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, settings->proxy);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)settings->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, DNS_CACHE_S);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    return 0;
}

void job_release(struct transport *transport, struct job *job)
{
    if (job->running)
        job_end(transport, job);
    curl_easy_cleanup(job->easy);
    job->easy = NULL;
}

int job_start(struct transport *transport, struct job *job)
{
    CURLMcode code = curl_multi_add_handle(transport->multi, job->easy);
    if (code != CURLM_OK)
        return code == CURLM_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
    job->running = true;
    return 0;
}

void job_end(struct transport *transport, struct job *job)
{
    curl_multi_remove_handle(transport->multi, job->easy);
    job->running = false;
}

static void collect(struct transport *transport)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(transport->multi, &left)) != NULL) {
        struct job *job;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &job);
        job->ended(job->context, message->data.result);
    }
}

/* Transfers --------------------------------------------------------------------------------------
 */

int transfer_new(struct transport *transport,
    void (*done)(void *context, const struct response *response), void *context,
    struct transfer **ret_transfer)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer)
        return -ENOMEM;
    transfer->transport = transport;
    transfer->done = done;
    transfer->context = context;
    *ret_transfer = transfer;
    return 0;
}

void transfer_free(struct transfer *transfer)
{
    if (!transfer)
        return;
    plain_free(transfer->plain);
    curl_transfer_free(transfer->by_libcurl);
    free(transfer->url);
    transfer->transport->answer_bytes -= transfer->body.length;
    buffer_release(&transfer->body);
    free(transfer);
}

/* Chooses the way for a URL that is another than before. */
static int set_url(struct transfer *transfer, const char *url)
{
    struct plain *plain = NULL;
    char *copy = strdup(url);
    int ret = copy ? plain_new(transfer, url, &plain) : -ENOMEM;
    if (ret == -ENOTSUP)
        ret = transfer->by_libcurl ? 0 : curl_transfer_new(transfer, &transfer->by_libcurl);
    if (ret < 0) {
        free(copy);
        return ret;
    }
    free(transfer->url);
    transfer->url = copy;
    plain_free(transfer->plain);
    transfer->plain = plain;
    return 0;
}

int transfer_start(struct transfer *transfer, const struct request *request)
{
    if (transfer->running)
        return -EBUSY;
    if (!transfer->url || strcmp(transfer->url, request->url) != 0) {
        int ret = set_url(transfer, request->url);
        if (ret < 0)
            return ret;
    }
    transfer->cut = false;
    transfer->error[0] = '\0';
    int ret = transfer->plain ? plain_start(transfer->plain, request)
                              : curl_transfer_start(transfer->by_libcurl, request);
    transfer->running = ret == 0;
    return ret;
}

static bool is_object(const struct buffer *body)
{
    size_t at = 0;
    while (at < body->length && strchr(" \t\r\n", body->data[at]))
        at++;
    return at < body->length && body->data[at] == '{';
}

/* How many bytes of the answer may follow: only an object can name failed events. */
static size_t room_for_answer(const struct transfer *transfer)
{
    const struct buffer *body = &transfer->body;
    size_t others = transfer->transport->answer_bytes;
    size_t most = body->length >= KEEP_BODY && is_object(body) ? RESPONSE_MAX_BODY : KEEP_BODY;
    size_t room = most - body->length;
    size_t left = others < ANSWERS_AT_ONCE ? ANSWERS_AT_ONCE - others : 0;
    return room < left ? room : left;
}

void transfer_add_body(struct transfer *transfer, const char *data, size_t length)
{
    struct buffer *body = &transfer->body;
    while (length > 0 && !transfer->cut) {
        size_t room = room_for_answer(transfer), taken = length < room ? length : room;
        buffer_add(body, data, taken);
        transfer->cut = taken == 0 || body->failed;
        if (transfer->cut)
            return;
        transfer->transport->answer_bytes += taken;
        data += taken;
        length -= taken;
    }
}

void transfer_end(struct transfer *transfer, struct response *response)
{
    struct buffer *body = &transfer->body, large = {0};
    transfer->running = false;
    transfer->transport->answer_bytes -= body->length;
    response->cut = transfer->cut;
    response->body_length = body->failed ? 0 : body->length;
    buffer_add(body, "", 1);
    response->body = body->failed ? "" : body->data;
    if (body->capacity > KEEP_BODY + 1) {
        large = *body;
        *body = (struct buffer){0};
    }
    body->length = 0;
    body->failed = false;
    transfer->done(transfer->context, response);
    buffer_release(&large);
}
