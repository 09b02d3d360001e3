/* See cursor_store.h. */
#include "outbox-relay/engine/cursor_store.h"
#include "outbox-relay/engine/backlog.h"
#include "outbox-relay/engine/statements.h"
#include "outbox-relay/engine/subscription.h"
#include "outbox-relay/postgres/pg_text.h"
#include "shared/db/result.h"

#include <string.h>

#define CURSOR_EVERY_US INT64_C(200000)

void cursor_store_on_mark(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct source *source = context;
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
        marks_add(&source->marks, strtoull(PQgetvalue(result, 0, 0), NULL, 10),
            strtoll(PQgetvalue(result, 0, 1), NULL, 10));
}

static void on_cursor_result(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct subscription *s = context;
    s->writes--;
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        return; /* the end of the unit tells */
    if (strcmp(PQcmdTuples(result), "0") == 0) {
        /* Someone has moved the cursor, or removed the subscription. */
        subscription_set_phase(s, PHASE_OUTDATED);
        source_wants_reload(s->source);
    }
}

static void write_cursor(struct subscription *s)
{
    char position[NUMBER_SIZE], floor[NUMBER_SIZE], deep_floor[NUMBER_SIZE], late[NUMBER_SIZE],
        taken[NUMBER_SIZE];
    struct cursor c = {0};
    backlog_progress(s, &c);
    const char *values[] = {s->name, s->row.generation, s->source->epoch_text,
        number_text(c.position, position), c.snapshot->text, number_text(c.floor, floor),
        number_text(c.deep_floor, deep_floor),
        c.late_snapshot ? number_text(c.late_position, late) : NULL,
        c.late_snapshot ? c.late_snapshot->text : NULL,
        number_text((c.late_snapshot ? c.late_snapshot : c.snapshot)->taken_us, taken)};
    s->writes++;
    pg_send(s->source->work, &WRITE_CURSOR, values, on_cursor_result, s);
    s->cursor_moved = false;
    cursor_release(&c);
}

static void on_cursors_written(void *context, const char *sqlstate)
{
    struct source *source = context;
    source->cursor_store.in_flight = false;
    if (sqlstate)
        source_unit_failed(source, sqlstate);
    else
        source_wants_turn(source);
}

/* What is to be loaded anew is not stored: it has been moved. */
static bool is_to_store(const struct subscription *s)
{
    return s->cursor_moved && s->phase == PHASE_CURRENT;
}

void cursor_store_write(struct source *source)
{
    bool any = false;
    if (source->cursor_store.in_flight)
        return;
    for (struct subscription *s = source->subscriptions; s; s = s->next) {
        if (!is_to_store(s))
            continue;
        if (!any)
            source_fence(source);
        any = true;
        write_cursor(s);
    }
    if (!any)
        return;
    char position[NUMBER_SIZE];
    const char *values[] = {number_text(source->last_id, position)};
    source->cursor_store.in_flight = true;
    pg_send(source->work, &WRITE_MARK, values, cursor_store_on_mark, source);
    pg_commit(source->work, on_cursors_written, source);
}

static void on_timer(void *context)
{
    cursor_store_write(context);
}

void cursor_store_refresh(struct source *source)
{
    for (struct subscription *s = source->subscriptions; s; s = s->next)
        s->cursor_moved |= !s->backlog.head;
    cursor_store_write(source);
}

void cursor_store_turn(struct source *source)
{
    const struct subscription *s = source->subscriptions;
    if (timer_running(&source->cursor_store.timer))
        return;
    while (s && !is_to_store(s))
        s = s->next;
    if (s)
        loop_timer_start(source->loop, &source->cursor_store.timer, CURSOR_EVERY_US);
}

void cursor_store_init(struct source *source)
{
    source->cursor_store.timer = (struct timer){.fire = on_timer, .context = source};
}

void cursor_store_stop(struct source *source)
{
    loop_timer_stop(source->loop, &source->cursor_store.timer);
    source->cursor_store.in_flight = false;
}
