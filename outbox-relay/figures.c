/* See figures.h. */
#include "outbox-relay/figures.h"
#include "outbox-relay/pg_text.h"
#include "outbox-relay/reader.h"
#include "outbox-relay/statements.h"
#include "shared/db/result.h"

#include <string.h>

#define COUNT_EVERY_US INT64_C(1000000)
#define WATCH_EVERY_US INT64_C(1000000)

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

/* When the oldest event that is not settled was emitted. Of those that have not been read the first
 * one counts, whatever its type; 0: none, or not known yet. */
static int64_t oldest_us(const struct subscription *s, bool unread)
{
    const struct pending *first = s->pending_head;
    if (first)
        return first->items[first->settled].event->created_us;
    return unread && s->unread.position == s->settled.position ? s->unread.created_us : 0;
}

void figures_update(struct subscription *s)
{
    int64_t lag = s->source->last_id - s->settled.position;
    bool unread = s->reader && s->reader->due && lag > 0;
    stat_set(&s->stats->lag_events, (s->pending_head || unread) && lag > 0 ? lag : 0);
    stat_set(&s->stats->oldest_us, oldest_us(s, unread));
    stat_set(&s->stats->parked_keys, (int64_t)s->parked.count);
}

/* ---- While nothing is read ---- */

static void on_newest_id(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct source *source = context;
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
        source->last_id = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
}

/* The subscription is looked for by its name, as it may have gone meanwhile. */
static void on_first_unread(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct source *source = context;
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
        return;
    for (struct subscription *s = source->subscriptions; s; s = s->next) {
        if (strcmp(s->name, PQgetvalue(result, 0, 0)) != 0)
            continue;
        s->unread.position = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
        s->unread.created_us = strtoll(PQgetvalue(result, 0, 2), NULL, 10);
    }
}

static void on_watch_timer(void *context)
{
    struct source *source = context;
    char position[NUMBER_SIZE];
    if (source->state != SOURCE_ACTIVE || source->failure || !readers_stuck(source))
        return;
    pg_send(source->work, &NEWEST_ID, NULL, on_newest_id, source);
    for (const struct subscription *s = source->subscriptions; s; s = s->next) {
        if (s->pending_head || !reader_is_stuck(source, s->reader))
            continue;
        const char *values[] = {s->name, number_text(s->settled.position, position)};
        pg_send(source->work, &FIRST_UNREAD, values, on_first_unread, source);
    }
    pg_commit(source->work, NULL, NULL);
}

void figures_watch(struct source *source)
{
    if (!timer_running(&source->watch_timer) && readers_stuck(source))
        loop_timer_start(source->loop, &source->watch_timer, WATCH_EVERY_US);
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
    source->watch_timer = (struct timer){.fire = on_watch_timer, .context = source};
}

void figures_stop(struct source *source)
{
    loop_timer_stop(source->loop, &source->count_timer);
    loop_timer_stop(source->loop, &source->watch_timer);
}
