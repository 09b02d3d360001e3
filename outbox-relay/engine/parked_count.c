/* See parked_count.h. */
#include "outbox-relay/engine/parked_count.h"
#include "outbox-relay/engine/core.h"
#include "outbox-relay/engine/statements.h"
#include "shared/db/result.h"

#include <string.h>

#define COUNT_EVERY_US INT64_C(1000000)

static void set_count(struct source *source, const PGresult *rows, int row)
{
    struct subscription_metrics *metrics = metrics_find(&source->metrics, PQgetvalue(rows, row, 0));
    const char *status = PQgetvalue(rows, row, 1);
    int64_t count = strtoll(PQgetvalue(rows, row, 2), NULL, 10);
    if (!metrics)
        return;
    gauge_set(strcmp(status, "retrying") == 0  ? &metrics->retrying
              : strcmp(status, "blocked") == 0 ? &metrics->blocked
                                               : &metrics->dead,
        count);
}

static void on_counts(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct source *source = context;
    struct source_metrics *metrics = &source->metrics;
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        return;
    pthread_mutex_lock(&metrics->lock); /* so that the page sees no half of it */
    for (struct subscription_metrics *each = metrics->subscriptions; each; each = each->next) {
        gauge_set(&each->retrying, 0);
        gauge_set(&each->blocked, 0);
        gauge_set(&each->dead, 0);
    }
    for (int row = 0; row < PQntuples(result); row++)
        set_count(source, result, row);
    pthread_mutex_unlock(&metrics->lock);
}

static void on_counted(void *context, const char *sqlstate)
{
    if (!sqlstate)
        return;
    source_unit_tell(context, "load_counts", sqlstate);
    parked_count_soon(context);
}

static void on_timer(void *context)
{
    struct source *source = context;
    pg_send(source->work, &LOAD_COUNTS, NULL, on_counts, source);
    pg_commit(source->work, on_counted, source);
}

void parked_count_soon(struct source *source)
{
    if (!timer_running(&source->parked_count.timer))
        loop_timer_start(source->loop, &source->parked_count.timer, COUNT_EVERY_US);
}

void parked_count_init(struct source *source)
{
    source->parked_count.timer = (struct timer){.fire = on_timer, .context = source};
}

void parked_count_stop(struct source *source)
{
    loop_timer_stop(source->loop, &source->parked_count.timer);
}
