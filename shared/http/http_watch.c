/* Bounds how long a connection may take to send a request and to read its answer. libmicrohttpd's
 * timeout is for silence only; a client that moves one byte now and then is never silent. One
 * thread sleeps until the earliest deadline and shuts those connections down that have passed
 * theirs; libmicrohttpd then sees their end and frees them. */
#include "shared/http/http_watch.h"
#include "shared/base/clock.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

struct http_watched {
    struct http_watch *watch;
    struct http_watched *next, **link;
    int fd;
    int64_t deadline_ms; /* of clock_ms(); 0: none */
};

struct http_watch {
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    struct http_watched *first;
    int64_t wake_ms; /* when the thread looks again; INT64_MAX: not by itself */
    bool stopping;
};

/* Shuts down what is late and finds when to look again. */
static void look(struct http_watch *watch)
{
    int64_t now = clock_ms();
    watch->wake_ms = INT64_MAX;
    for (struct http_watched *w = watch->first; w; w = w->next) {
        if (w->deadline_ms == 0)
            continue;
        if (w->deadline_ms <= now) {
            shutdown(w->fd, SHUT_RDWR);
            w->deadline_ms = 0;
        } else if (w->deadline_ms < watch->wake_ms) {
            watch->wake_ms = w->deadline_ms;
        }
    }
}

static void *run(void *context)
{
    struct http_watch *watch = context;
    pthread_mutex_lock(&watch->lock);
    while (!watch->stopping) {
        look(watch);
        if (watch->wake_ms == INT64_MAX)
            pthread_cond_wait(&watch->changed, &watch->lock);
        else
            clock_wait(&watch->changed, &watch->lock, watch->wake_ms);
    }
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

struct http_watch *http_watch_start(void)
{
    struct http_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return NULL;
    clock_condition_init(&watch->changed);
    pthread_mutex_init(&watch->lock, NULL);
    if (pthread_create(&watch->thread, NULL, run, watch) == 0)
        return watch;
    pthread_cond_destroy(&watch->changed);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
    return NULL;
}

void http_watch_stop(struct http_watch *watch)
{
    if (!watch)
        return;
    pthread_mutex_lock(&watch->lock);
    watch->stopping = true;
    pthread_cond_signal(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
    pthread_cond_destroy(&watch->changed);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

struct http_watched *http_watch_add(struct http_watch *watch, int fd)
{
    struct http_watched *watched = calloc(1, sizeof *watched);
    if (!watched)
        return NULL;
    watched->watch = watch;
    watched->fd = fd;
    pthread_mutex_lock(&watch->lock);
    watched->next = watch->first;
    watched->link = &watch->first;
    if (watched->next)
        watched->next->link = &watched->next;
    watch->first = watched;
    pthread_mutex_unlock(&watch->lock);
    return watched;
}

void http_watch_remove(struct http_watched *watched)
{
    if (!watched)
        return;
    pthread_mutex_lock(&watched->watch->lock);
    *watched->link = watched->next;
    if (watched->next)
        watched->next->link = watched->link;
    pthread_mutex_unlock(&watched->watch->lock);
    free(watched);
}

void http_watch_within(struct http_watched *watched, int64_t timeout_ms)
{
    if (!watched)
        return;
    struct http_watch *watch = watched->watch;
    int64_t deadline_ms = timeout_ms > 0 ? clock_ms() + timeout_ms : 0;
    pthread_mutex_lock(&watch->lock);
    watched->deadline_ms = deadline_ms;
    if (deadline_ms > 0 && deadline_ms < watch->wake_ms)
        pthread_cond_signal(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
}
