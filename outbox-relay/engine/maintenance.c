/* See maintenance.h. */
#include "outbox-relay/engine/maintenance.h"
#include "outbox-relay/engine/cursor_store.h"
#include "outbox-relay/engine/statements.h"
#include "shared/base/log.h"
#include "shared/db/result.h"

#include <inttypes.h>
#include <stdio.h>

#define US_PER_S INT64_C(1000000)
#define MAINTAIN_ANYWAY_US (3600 * US_PER_S)

static void on_maintained(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct source *source = context;
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
        source->maintenance.newest_id = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
}

static void on_maintain_done(void *context, const char *sqlstate)
{
    struct source *source = context;
    source->maintenance.under_way = false;
    /* Else it was the stop that ended it, or the connection's end, which has a line of its own. */
    if (sqlstate && source->state == SOURCE_ACTIVE && !source->failure.reason)
        log_warn("outbox.maintain() failed", LOG_TEXT("source", source->name),
            LOG_TEXT("error", source->failure.refusal), LOG_TEXT("sqlstate", sqlstate));
}

/* When there is something new, and once an hour for what has grown old. The snapshots
 * of idle subscriptions are written first: an old one would keep partitions. */
static void on_maintain_timer(void *context)
{
    struct source *source = context;
    char maintained[24];
    const char *values[] = {maintained};
    loop_timer_start(
        source->loop, &source->maintenance.timer, source->settings->maintain_interval_s * US_PER_S);
    if (source->maintenance.under_way)
        return;
    bool old = loop_now(source->loop) - source->maintenance.anyway_us > MAINTAIN_ANYWAY_US;
    if (old || source->last_id > source->maintenance.newest_id) {
        source->maintenance.anyway_us = loop_now(source->loop);
        cursor_store_refresh(source);
    }
    snprintf(maintained, sizeof(maintained), "%" PRId64, old ? -1 : source->maintenance.newest_id);
    /* Not where the reads and writes are, which would have to wait. The lease does not suffer:
     * outbox.maintain() never waits for a lock for long, and reads no table of any size. */
    struct pg *pg = source->polling ? source->work : source->session;
    source->maintenance.under_way = true;
    pg_send(pg, &MAINTAIN, values, on_maintained, source);
    pg_commit(pg, on_maintain_done, source);
}

void maintenance_init(struct source *source)
{
    source->maintenance.timer = (struct timer){.fire = on_maintain_timer, .context = source};
}

void maintenance_start(struct source *source)
{
    source->maintenance.newest_id = -1;
    source->maintenance.anyway_us = loop_now(source->loop);
    loop_timer_start(source->loop, &source->maintenance.timer, US_PER_S);
}

void maintenance_stop(struct source *source)
{
    loop_timer_stop(source->loop, &source->maintenance.timer);
    source->maintenance.under_way = false;
}
