/* See settle.h. */
#include "outbox-relay/settle.h"
#include "outbox-relay/pg_text.h"
#include "outbox-relay/source.h"
#include "outbox-relay/statements.h"
#include "shared/base/log.h"
#include "shared/db/result.h"

#include <string.h>

static void fence(struct source *source)
{
    const char *values[] = {source->epoch_text};
    pg_send(source->work, &FENCE, values, NULL, NULL);
}

/* ---- Cursors ---- */

static void on_cursor_result(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct subscription *s = context;
    s->writes--;
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        return; /* the end of the unit tells */
    if (strcmp(PQcmdTuples(result), "0") == 0) {
        /* Someone has moved the cursor, or removed the subscription. */
        s->reload = true;
        source_reload(s->source);
    }
}

static void write_cursor(struct subscription *s)
{
    char position[NUMBER_SIZE], floor[NUMBER_SIZE], deep_floor[NUMBER_SIZE], late[NUMBER_SIZE];
    struct cursor c = {0};
    subscription_progress(s, &c);
    const char *values[] = {s->name, s->generation, s->source->epoch_text,
        number_text(c.position, position), c.snapshot->text, number_text(c.floor, floor),
        number_text(c.deep_floor, deep_floor),
        c.late_snapshot ? number_text(c.late_position, late) : NULL,
        c.late_snapshot ? c.late_snapshot->text : NULL};
    s->writes++;
    pg_send(s->source->work, &WRITE_CURSOR, values, on_cursor_result, s);
    s->cursor_dirty = false;
    cursor_release(&c);
}

static void on_cursors_written(void *context, const char *sqlstate)
{
    struct source *source = context;
    source->cursors_in_flight = false;
    if (sqlstate)
        source_write_failed(source, sqlstate);
    else
        source_wants_turn(source);
}

void settle_cursors(struct source *source)
{
    bool any = false;
    if (source->cursors_in_flight)
        return;
    for (struct subscription *s = source->subscriptions; s; s = s->next) {
        if (!s->cursor_dirty || s->reload || s->gone)
            continue;
        if (!any)
            fence(source);
        any = true;
        write_cursor(s);
    }
    if (!any)
        return;
    char position[NUMBER_SIZE];
    const char *values[] = {number_text(source->last_id, position)};
    source->cursors_in_flight = true;
    pg_send(source->work, &WRITE_MARK, values, source_on_mark, source);
    pg_commit(source->work, on_cursors_written, source);
}

/* ---- Endpoint ---- */

static void on_written(void *context, const char *sqlstate)
{
    if (sqlstate)
        source_write_failed(context, sqlstate);
}

void settle_disable(struct subscription *s, const char *reason)
{
    char text[ERROR_MAX + 1];
    error_text(reason, text);
    const char *values[] = {s->name, text};
    s->active = false;
    log_warn("subscription is disabled, the receiver has gone", LOG_TEXT("source", s->source->name),
        LOG_TEXT("subscription", s->name));
    fence(s->source);
    pg_send(s->source->work, &DISABLE, values, NULL, NULL);
    pg_commit(s->source->work, on_written, s->source);
}

void settle_breaker(struct subscription *s, const char *error)
{
    char text[ERROR_MAX + 1];
    if (error)
        error_text(error, text);
    const char *values[] = {s->name, error ? "open" : "closed", error ? text : NULL};
    fence(s->source);
    pg_send(s->source->work, &WRITE_BREAKER, values, NULL, NULL);
    pg_commit(s->source->work, on_written, s->source);
}
