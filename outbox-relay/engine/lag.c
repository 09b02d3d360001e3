/* See lag.h. */
#include "outbox-relay/engine/lag.h"
#include "outbox-relay/engine/reader.h"
#include "outbox-relay/engine/statements.h"
#include "outbox-relay/postgres/pg_text.h"
#include "shared/db/result.h"

#include <string.h>

#define WATCH_EVERY_US INT64_C(1000000)

/* When the oldest event that is not settled was emitted. Of those that have not been read the first
 * one counts, whatever its type; 0: none, or not known yet. */
static int64_t oldest_us(const struct subscription *s, bool unread)
{
    const struct pending *first = s->backlog.head;
    if (first)
        return first->items[first->settled].event->created_us;
    return unread && s->lag.position == s->settled.position ? s->lag.created_us : 0;
}

void lag_update(struct subscription *s)
{
    int64_t lag = s->source->last_id - s->settled.position;
    bool unread = reader_is_due(s) && lag > 0;
    gauge_set(&s->metrics->lag_events, (s->backlog.head || unread) && lag > 0 ? lag : 0);
    gauge_set(&s->metrics->oldest_us, oldest_us(s, unread));
    gauge_set(&s->metrics->parked_keys, (int64_t)s->parked.count);
}

/* While nothing is read --------------------------------------------------------------------------
 */

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
        s->lag.position = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
        s->lag.created_us = strtoll(PQgetvalue(result, 0, 2), NULL, 10);
    }
}

/* The next turn asks again. */
static void on_watched(void *context, const char *sqlstate)
{
    if (sqlstate)
        source_unit_tell(context, "newest_id", sqlstate);
}

static void on_timer(void *context)
{
    struct source *source = context;
    char position[NUMBER_SIZE];
    if (source->state != SOURCE_ACTIVE || source->failure.reason || !readers_stuck(source))
        return;
    pg_send(source->work, &NEWEST_ID, NULL, on_newest_id, source);
    for (const struct subscription *s = source->subscriptions; s; s = s->next) {
        if (s->backlog.head || !reader_is_stuck(s))
            continue;
        const char *values[] = {s->name, number_text(s->settled.position, position)};
        pg_send(source->work, &FIRST_UNREAD, values, on_first_unread, source);
    }
    pg_commit(source->work, on_watched, source);
}

void lag_watch(struct source *source)
{
    if (!timer_running(&source->lag.timer) && readers_stuck(source))
        loop_timer_start(source->loop, &source->lag.timer, WATCH_EVERY_US);
}

void lag_init(struct source *source)
{
    source->lag.timer = (struct timer){.fire = on_timer, .context = source};
}

void lag_stop(struct source *source)
{
    loop_timer_stop(source->loop, &source->lag.timer);
}
