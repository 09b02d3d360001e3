/* Metrics and the access log of the HTTP server. */
#include "shared/http/http_metrics.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/metrics.h"
#include "shared/base/metrics_process.h"
#include "shared/http/http_builtin.h"
#include "shared/http/http_request.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric *requests_total, *request_seconds, *requests_in_flight;
static struct metric *pool_connections;
static struct db_pool *shown_pool; /* guarded by lock */
static atomic_int in_flight;

static void collect(void *context)
{
    (void)context;
    metric_set(requests_in_flight, NULL, atomic_load(&in_flight));

    pthread_mutex_lock(&lock);
    if (shown_pool) {
        int in_use, open, size;
        db_pool_usage(shown_pool, &in_use, &open, &size);
        metric_set(pool_connections, (const char *[]){"in_use"}, in_use);
        metric_set(pool_connections, (const char *[]){"open"}, open);
        metric_set(pool_connections, (const char *[]){"limit"}, size);
    }
    pthread_mutex_unlock(&lock);
}

static void register_metrics(void)
{
    static const char *const REQUEST[] = {"method", "route", "status", NULL};
    static const char *const ROUTE[] = {"method", "route", NULL};
    static const char *const STATE[] = {"state", NULL};
    requests_total = metric_counter("http_requests", "Requests answered", REQUEST);
    request_seconds = metric_histogram("http_request_duration_seconds",
        "From the request's first line to the end of its answer", ROUTE, METRIC_SECONDS,
        METRIC_SECONDS_COUNT);
    requests_in_flight = metric_gauge("http_requests_in_flight", "Requests being handled", NULL);
    pool_connections = metric_gauge(
        "db_pool_connections", "Database connections: in use, open, and the limit", STATE);
    metrics_on_collect(collect, NULL);
}

void http_metrics_start(const char *program, struct db_pool *pool)
{
    metrics_process(program);
    pthread_mutex_lock(&lock);
    if (!requests_total)
        register_metrics();
    shown_pool = pool;
    pthread_mutex_unlock(&lock);
}

void http_metrics_in_flight(int change)
{
    atomic_fetch_add(&in_flight, change);
}

/* A method as a label: the client may invent others without end. */
static const char *method_label(const char *method)
{
    static const char *const KNOWN[] = {
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"};
    for (size_t i = 0; i < ARRAY_SIZE(KNOWN); i++) {
        if (strcmp(method, KNOWN[i]) == 0)
            return KNOWN[i];
    }
    return "other";
}

static bool is_builtin(const struct http_route *route)
{
    for (size_t i = 0; i < http_builtin_route_count; i++) {
        if (route == &http_builtin_routes[i])
            return true;
    }
    return false;
}

void http_metrics_done(const struct http_request *request, bool aborted)
{
    int64_t duration_us = clock_us() - request->started_us;
    const char *method = method_label(request->method);
    const char *route = request->route ? request->route->path : "none";
    char status[16];
    snprintf(status, sizeof status, "%d", request->reply.status);
    metric_add(requests_total, (const char *[]){method, route, status}, 1);
    metric_observe(request_seconds, (const char *[]){method, route}, (double)duration_us / 1e6);

    LOG_AT(is_builtin(request->route) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
        aborted ? "request aborted" : "request", LOG_TEXT("method", request->method),
        LOG_TEXT("route", route), LOG_INT("status", request->reply.status),
        LOG_INT("durationUs", duration_us), LOG_INT("bytes", request->reply.length),
        LOG_TEXT("path", request->path));
}
