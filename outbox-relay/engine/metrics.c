/* See metrics.h. */
#include "outbox-relay/engine/metrics.h"
#include "shared/base/metrics.h"

#include <stdlib.h>
#include <string.h>

void metrics_init(struct source_metrics *metrics)
{
    pthread_mutex_init(&metrics->lock, NULL);
}

void metrics_release(struct source_metrics *metrics)
{
    while (metrics->subscriptions) {
        struct subscription_metrics *next = metrics->subscriptions->next;
        free(metrics->subscriptions->name);
        free(metrics->subscriptions);
        metrics->subscriptions = next;
    }
    pthread_mutex_destroy(&metrics->lock);
}

struct subscription_metrics *metrics_find(
    const struct source_metrics *metrics, const char *subscription)
{
    struct subscription_metrics *found = metrics->subscriptions;
    while (found && strcmp(found->name, subscription) != 0)
        found = found->next;
    return found;
}

static struct subscription_metrics *add(struct source_metrics *metrics, const char *subscription)
{
    struct subscription_metrics *added = calloc(1, sizeof(*added));
    if (!added)
        return NULL;
    added->name = strdup(subscription);
    if (!added->name) {
        free(added);
        return NULL;
    }
    added->next = metrics->subscriptions;
    metrics->subscriptions = added;
    return added;
}

struct subscription_metrics *metrics_of(struct source_metrics *metrics, const char *subscription)
{
    pthread_mutex_lock(&metrics->lock);
    struct subscription_metrics *found = metrics_find(metrics, subscription);
    if (!found)
        found = add(metrics, subscription);
    if (found)
        found->current = true;
    pthread_mutex_unlock(&metrics->lock);
    return found;
}

void metrics_gone(struct source_metrics *metrics, const char *subscription)
{
    pthread_mutex_lock(&metrics->lock);
    struct subscription_metrics *found = metrics_find(metrics, subscription);
    if (found)
        found->current = false;
    pthread_mutex_unlock(&metrics->lock);
}

void metrics_delivered(struct subscription_metrics *metrics, int64_t latency_us)
{
    size_t bucket = 0;
    double seconds = (double)latency_us / 1e6;
    while (bucket < METRIC_SECONDS_COUNT && seconds > METRIC_SECONDS[bucket])
        bucket++;
    if (bucket >= LATENCY_BUCKETS)
        bucket = LATENCY_BUCKETS - 1;
    counter_add(&metrics->latency[bucket], 1);
    counter_add(&metrics->latency_sum_us, latency_us > 0 ? (uint64_t)latency_us : 0);
    counter_add(&metrics->delivered, 1);
}
