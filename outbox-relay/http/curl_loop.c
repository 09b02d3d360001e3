/* See curl_loop.h. The multi handle's sockets and its timer live in the loop (libcurl's
 * docs/examples/ephiperfifo.c shows the pattern). */
#include "outbox-relay/http/curl_loop.h"

#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>

/* A container that comes back may have another address: not the 60 s of curl's default. */
#define DNS_CACHE_S 3L

/* One socket of the multi handle. */
struct socket_watch {
    struct watch watch;
    struct curl_loop *curl;
    struct socket_watch *previous, *next;
};

struct curl_loop {
    struct loop *loop;
    const struct transport_settings *settings;
    CURLM *multi;
    struct timer timer;
    struct socket_watch *watches; /* those in use */
};

/* Sockets and timer ------------------------------------------------------------------------------
 */

/* Tells the owners of the jobs that have ended. */
static void collect(struct curl_loop *curl)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(curl->multi, &left)) != NULL) {
        struct curl_job *job;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &job);
        job->ended(job->context, message->data.result);
    }
}

static void on_socket(void *context, uint32_t events)
{
    struct socket_watch *socket = context;
    struct curl_loop *curl = socket->curl;
    int running, mask = 0;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        mask |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        mask |= CURL_CSELECT_OUT;
    if (events & EPOLLERR)
        mask |= CURL_CSELECT_ERR;
    curl_multi_socket_action(curl->multi, socket->watch.fd, mask, &running);
    collect(curl);
}

static void on_timer(void *context)
{
    struct curl_loop *curl = context;
    int running;
    curl_multi_socket_action(curl->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(curl);
}

static void drop_socket(struct curl_loop *curl, struct socket_watch *socket)
{
    loop_unwatch(curl->loop, &socket->watch);
    if (socket->previous)
        socket->previous->next = socket->next;
    else
        curl->watches = socket->next;
    if (socket->next)
        socket->next->previous = socket->previous;
    free(socket);
}

static struct socket_watch *add_socket(struct curl_loop *curl, curl_socket_t fd)
{
    struct socket_watch *socket = calloc(1, sizeof(*socket));
    if (!socket)
        return NULL;
    socket->curl = curl;
    socket->watch = (struct watch){.fd = -1, .ready = on_socket, .context = socket};
    socket->next = curl->watches;
    if (socket->next)
        socket->next->previous = socket;
    curl->watches = socket;
    curl_multi_assign(curl->multi, fd, socket);
    return socket;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *assigned)
{
    (void)easy;
    struct curl_loop *curl = context;
    struct socket_watch *socket = assigned;
    if (what == CURL_POLL_REMOVE) {
        if (socket)
            drop_socket(curl, socket);
        return 0;
    }
    uint32_t events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
                      (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    if (!socket && !(socket = add_socket(curl, fd)))
        return -1;
    return loop_watch(curl->loop, &socket->watch, (int)fd, events) < 0 ? -1 : 0;
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct curl_loop *curl = context;
    if (timeout_ms < 0)
        loop_timer_stop(curl->loop, &curl->timer);
    else
        loop_timer_start(curl->loop, &curl->timer, timeout_ms * INT64_C(1000));
    return 0;
}

/* Life -------------------------------------------------------------------------------------------
 */

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

int curl_loop_new(
    struct loop *loop, const struct transport_settings *settings, struct curl_loop **ret_curl)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
    struct curl_loop *curl = calloc(1, sizeof(*curl));
    if (!curl)
        return -ENOMEM;
    curl->loop = loop;
    curl->settings = settings;
    curl->timer = (struct timer){.fire = on_timer, .context = curl};
    curl->multi = curl_multi_init();
    if (!curl->multi) {
        free(curl);
        return -ENOMEM;
    }
    curl_multi_setopt(curl->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(curl->multi, CURLMOPT_SOCKETDATA, curl);
    curl_multi_setopt(curl->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(curl->multi, CURLMOPT_TIMERDATA, curl);
    *ret_curl = curl;
    return 0;
}

void curl_loop_free(struct curl_loop *curl)
{
    if (!curl)
        return;
    curl_multi_cleanup(curl->multi);
    while (curl->watches)
        drop_socket(curl, curl->watches);
    loop_timer_stop(curl->loop, &curl->timer);
    free(curl);
}

/* Jobs -------------------------------------------------------------------------------------------
 */

int curl_job_init(struct curl_loop *curl, struct curl_job *job)
{
    const struct transport_settings *settings = curl->settings;
    CURL *easy = job->easy = curl_easy_init();
    if (!easy)
        return -ENOMEM;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, job);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    /* "" as well: libcurl would look for them in the environment. */
    curl_easy_setopt(easy, CURLOPT_PROXY, settings->proxy);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)settings->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, DNS_CACHE_S);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)CONNECTION_IDLE_S);
    curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, (long)settings->connection_age_s);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, job->error);
    return 0;
}

void curl_job_release(struct curl_loop *curl, struct curl_job *job)
{
    if (job->running)
        curl_job_end(curl, job);
    curl_easy_cleanup(job->easy);
    job->easy = NULL;
}

int curl_job_start(struct curl_loop *curl, struct curl_job *job)
{
    job->error[0] = '\0';
    CURLMcode code = curl_multi_add_handle(curl->multi, job->easy);
    if (code != CURLM_OK)
        return code == CURLM_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
    job->running = true;
    return 0;
}

void curl_job_end(struct curl_loop *curl, struct curl_job *job)
{
    curl_multi_remove_handle(curl->multi, job->easy);
    job->running = false;
}

const char *curl_job_error(const struct curl_job *job, CURLcode code)
{
    return job->error[0] ? job->error : curl_easy_strerror(code);
}
