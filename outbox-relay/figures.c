/* See figures.h. */
#include "outbox-relay/figures.h"
#include "outbox-relay/reader.h"
#include "outbox-relay/statements.h"

#include <string.h>

#define COUNT_EVERY_US INT64_C(1000000)

/* ---- The list ---- */

static struct stats_entry *new_entry(struct source *source, const char *subscription)
{
    struct stats_entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return NULL;
    entry->subscription = strdup(subscription);
    if (!entry->subscription) {
        free(entry);
        return NULL;
    }
    entry->next = source->stats_list;
    source->stats_list = entry;
    return entry;
}

static struct stats_entry *find(struct source *source, const char *subscription)
{
    struct stats_entry *entry = source->stats_list;
    while (entry && strcmp(entry->subscription, subscription) != 0)
        entry = entry->next;
    return entry;
}

struct stats *figures_of(struct source *source, const char *subscription)
{
    pthread_mutex_lock(&source->stats_lock);
    struct stats_entry *entry = find(source, subscription);
    if (!entry)
        entry = new_entry(source, subscription);
    if (entry)
        entry->current = true;
    pthread_mutex_unlock(&source->stats_lock);
    return entry ? &entry->stats : NULL;
}

void figures_gone(struct source *source, const char *subscription)
{
    pthread_mutex_lock(&source->stats_lock);
    struct stats_entry *entry = find(source, subscription);
    if (entry)
        entry->current = false;
    pthread_mutex_unlock(&source->stats_lock);
}

void figures_release(struct source *source)
{
    while (source->stats_list) {
        struct stats_entry *next = source->stats_list->next;
        free(source->stats_list->subscription);
        free(source->stats_list);
        source->stats_list = next;
    }
    pthread_mutex_destroy(&source->stats_lock);
}

/* ---- From memory ---- */

void figures_update(struct subscription *s)
{
    const struct pending *first = s->pending_head;
    bool behind =
        first || (s->reader && s->reader->due && s->settled.position < s->source->last_id);
    int64_t lag = s->source->last_id - s->settled.position;
    stat_set(&s->stats->lag_events, behind && lag > 0 ? lag : 0);
    stat_set(&s->stats->oldest_us, first ? first->items[first->settled].event->created_us : 0);
    stat_set(&s->stats->parked_keys, (int64_t)s->parked.count);
}

/* ---- From the table ---- */

static void set_count(struct source *source, const PGresult *rows, int row)
{
    const char *status = PQgetvalue(rows, row, 1);
    struct stats_entry *entry = find(source, PQgetvalue(rows, row, 0));
    int64_t count = strtoll(PQgetvalue(rows, row, 2), NULL, 10);
    if (!entry)
        return;
    stat_set(strcmp(status, "retrying") == 0  ? &entry->stats.retrying
             : strcmp(status, "blocked") == 0 ? &entry->stats.blocked
                                              : &entry->stats.dead,
        count);
}

static void on_counts(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct source *source = context;
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        return;
    pthread_mutex_lock(&source->stats_lock);
    for (struct stats_entry *entry = source->stats_list; entry; entry = entry->next) {
        stat_set(&entry->stats.retrying, 0);
        stat_set(&entry->stats.blocked, 0);
        stat_set(&entry->stats.dead, 0);
    }
    for (int row = 0; row < PQntuples(result); row++)
        set_count(source, result, row);
    pthread_mutex_unlock(&source->stats_lock);
}

static void on_timer(void *context)
{
    struct source *source = context;
    pg_send(source->work, &LOAD_COUNTS, NULL, on_counts, source);
    pg_commit(source->work, NULL, NULL);
}

void figures_count_parked(struct source *source)
{
    if (!timer_running(&source->count_timer))
        loop_timer_start(source->loop, &source->count_timer, COUNT_EVERY_US);
}

void figures_init(struct source *source)
{
    pthread_mutex_init(&source->stats_lock, NULL);
    source->count_timer = (struct timer){.fire = on_timer, .context = source};
}

void figures_stop(struct source *source)
{
    loop_timer_stop(source->loop, &source->count_timer);
}
