/* See tick.h. */
#include "outbox-relay/engine/tick.h"
#include "outbox-relay/engine/backlog.h"
#include "outbox-relay/engine/cursor_store.h"
#include "outbox-relay/engine/guard.h"
#include "outbox-relay/engine/reader.h"
#include "outbox-relay/engine/statements.h"
#include "outbox-relay/engine/wake.h"
#include "outbox-relay/postgres/pg_text.h"
#include "shared/db/result.h"

#include <errno.h>
#include <string.h>

#define ROWS_AT_ONCE 2000
#define READERS_PER_TICK 4
#define MARK_EVERY 500 /* ids; see cursor.c */
/* What a row of a result takes besides its values. */
#define ROW_OVERHEAD 512

/* A read that brought this part of what it may bring is taken for one of many. */
#define BIG_READ(most) ((most) / 4)

/* One reader's part of a tick. */
struct tick_part {
    struct source *source;
    struct reader *reader; /* NULL when it has gone meanwhile */
    PGresult *late, *fresh;
    bool asked_late, asked_fresh;
};

struct tick {
    struct source *source;
    struct snapshot *snapshot;
    int64_t rows, bytes;
    int64_t began_us;
    size_t count;
    struct tick_part parts[READERS_PER_TICK];
};

static void tick_free(struct tick *tick)
{
    for (size_t i = 0; i < tick->count; i++) {
        if (tick->parts[i].reader)
            tick->parts[i].reader->in_tick = NULL;
        PQclear(tick->parts[i].late);
        PQclear(tick->parts[i].fresh);
    }
    snapshot_unref(tick->snapshot);
    free(tick);
}

/* Results ----------------------------------------------------------------------------------------
 */

static void on_snapshot(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct tick *tick = context;
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
        return;
    tick->snapshot = snapshot_parse(PQgetvalue(result, 0, 0));
    if (tick->snapshot)
        tick->snapshot->taken_us = strtoll(PQgetvalue(result, 0, 3), NULL, 10);
    struct source *source = tick->source;
    int64_t newest_id = strtoll(PQgetvalue(result, 0, 1), NULL, 10), position = 0;
    for (size_t i = 0; i < tick->count; i++)
        if (tick->parts[i].reader && tick->parts[i].reader->cursor.position > position)
            position = tick->parts[i].reader->cursor.position;
    guard_read(source, newest_id, (uint32_t)strtoul(PQgetvalue(result, 0, 2), NULL, 10), position);
    source->last_id = newest_id;
}

static void on_late(void *context, PGresult *take_result)
{
    ((struct tick_part *)context)->late = take_result;
}

static void on_fresh(void *context, PGresult *take_result)
{
    ((struct tick_part *)context)->fresh = take_result;
}

static int64_t last_id_of(const struct read_result *read)
{
    return read->count ? read->events[read->count - 1].id : 0;
}

/* Whether the late part was cut by a limit, so that more of it may be left. Counted on the late
 * events alone, which come first in the read. */
static bool late_was_cut(const struct tick *tick, const PGresult *late)
{
    int rows = late ? PQntuples(late) : 0;
    int64_t bytes = 0;
    for (int row = 0; row < rows; row++)
        bytes += read_result_size(late, row);
    return rows > 0 && (rows >= tick->rows || bytes >= tick->bytes);
}

/* Hands what was read to the reader's subscriptions and moves its cursor. Returns an enum
 * tick_outcome, or a negative errno. */
static int finish_part(struct tick *tick, struct tick_part *part)
{
    struct source *source = tick->source;
    struct reader *reader = part->reader;
    PGresult *late = part->late, *fresh = part->fresh;
    bool cut = late_was_cut(tick, late);
    int late_rows = late ? PQntuples(late) : 0;
    part->late = part->fresh = NULL;
    if (cut) {
        PQclear(fresh); /* comes after the rest of the late ones */
        fresh = NULL;
    }
    struct read_result *read = read_result_new(late, fresh);
    if (!read)
        return -ENOMEM;
    bool any_fresh = read->count > (size_t)late_rows;
    int64_t position = any_fresh ? last_id_of(read) : reader->cursor.position;
    cursor_advance(
        &reader->cursor, position, tick->snapshot, cut ? last_id_of(read) : 0, &source->marks);
    int ret = 0;
    for (struct subscription *s = reader->members; s && ret == 0; s = s->reading.next)
        ret = backlog_take(s, read, &reader->cursor);
    counter_add(&source->metrics.events_read, read->count);
    enum tick_outcome outcome = TICK_SOME;
    if (read->count == 0)
        outcome = TICK_EMPTY;
    else if ((int64_t)read->count >= BIG_READ(tick->rows) ||
             read->payload_bytes >= BIG_READ(tick->bytes))
        outcome = TICK_MANY;
    /* Without fresh rows asked for, the late part was the only thing read. */
    reader->due = outcome == TICK_MANY || !part->asked_fresh;
    read_result_unref(read);
    return ret < 0 ? ret : (int)outcome;
}

static void on_tick_done(void *context, const char *sqlstate)
{
    struct tick *tick = context;
    struct source *source = tick->source;
    enum tick_outcome outcome = TICK_EMPTY;
    if (source->tick != tick)
        return; /* the source has begun anew; freed there */
    if (source->failure.reason)
        return; /* what was read may be wrong */
    if (sqlstate || !tick->snapshot) {
        source_unit_failed(source, sqlstate ? sqlstate : "53200");
        return;
    }
    for (size_t i = 0; i < tick->count; i++) {
        int ret = tick->parts[i].reader ? finish_part(tick, &tick->parts[i]) : 0;
        if (ret < 0) {
            source_fail(source, "out of memory");
            return;
        }
        if (ret > (int)outcome)
            outcome = (enum tick_outcome)ret;
    }
    source->tick = NULL;
    source_works(source);
    int64_t took_us = loop_now(source->loop) - tick->began_us;
    tick_free(tick);
    readers_merge(source);
    wake_after_tick(source, outcome, took_us);
    source_wants_turn(source);
}

/* Sending
 * -------------------------------------------------------------------------------------------
 */

static void send_late(struct tick *tick, struct tick_part *part)
{
    const struct cursor *c = &part->reader->cursor;
    char position[NUMBER_SIZE], floor[NUMBER_SIZE], deep_floor[NUMBER_SIZE], late[NUMBER_SIZE],
        rows[NUMBER_SIZE], bytes[NUMBER_SIZE];
    const char *values[] = {number_text(c->position, position), c->snapshot->text,
        number_text(c->floor, floor), number_text(c->deep_floor, deep_floor),
        c->deep_floor < c->floor ? c->snapshot->running : "{}", number_text(c->late_position, late),
        c->late_snapshot ? c->late_snapshot->text : NULL, number_text(tick->rows, rows),
        number_text(tick->bytes, bytes)};
    part->asked_late = true;
    pg_send(tick->source->work, &READ_LATE, values, on_late, part);
}

static void send_fresh(struct tick *tick, struct tick_part *part)
{
    char position[NUMBER_SIZE], rows[NUMBER_SIZE], bytes[NUMBER_SIZE];
    const char *values[] = {number_text(part->reader->cursor.position, position),
        number_text(tick->rows, rows), number_text(tick->bytes, bytes)};
    part->asked_fresh = true;
    pg_send(tick->source->work, &READ_NEW, values, on_fresh, part);
}

/* Without it the next reads look further back; the next one is sent with them. */
static void on_mark_done(void *context, const char *sqlstate)
{
    if (sqlstate)
        source_unit_tell(context, "take_mark", sqlstate);
}

static void send_mark(struct source *source)
{
    const struct marks *marks = &source->marks;
    int64_t marked = marks->count ? marks->list[marks->count - 1].position : -MARK_EVERY;
    if (source->last_id < marked + MARK_EVERY)
        return;
    char position[NUMBER_SIZE];
    const char *values[] = {number_text(source->last_id, position)};
    pg_send(source->work, &TAKE_MARK, values, cursor_store_on_mark, source);
    pg_commit(source->work, on_mark_done, source);
}

static void send_tick(struct tick *tick)
{
    struct source *source = tick->source;
    send_mark(source);
    pg_send(source->work, &READ_BEGIN, NULL, NULL, NULL);
    if (source->polling)
        pg_send(source->work, &READ_TUNE, NULL, NULL, NULL);
    pg_send(source->work, &READ_SNAPSHOT, NULL, on_snapshot, tick);
    for (size_t i = 0; i < tick->count; i++) {
        struct tick_part *part = &tick->parts[i];
        if (part->reader->cursor.late_snapshot || cursor_needs_late(&part->reader->cursor))
            send_late(tick, part);
        if (!part->reader->cursor.late_snapshot)
            send_fresh(tick, part);
    }
    pg_send(source->work, &READ_COMMIT, NULL, NULL, NULL);
    pg_commit(source->work, on_tick_done, tick);
    counter_add(&source->metrics.reads, 1);
}

static void add_part(struct tick *tick, struct reader *reader)
{
    struct tick_part *part = &tick->parts[tick->count++];
    *part = (struct tick_part){.source = tick->source, .reader = reader};
    reader->in_tick = &part->reader;
}

static void choose_readers(struct tick *tick)
{
    struct source *source = tick->source;
    struct reader *next;
    for (struct reader *reader = source->readers.list; reader; reader = next) {
        next = reader->next;
        if (tick->count < READERS_PER_TICK && reader->due && reader_make_room(source, reader))
            add_part(tick, reader);
    }
    for (size_t i = 0; i < tick->count; i++)
        reader_move_to_end(source, tick->parts[i].reader);
}

static void begin(struct source *source)
{
    struct tick *tick = calloc(1, sizeof(*tick));
    if (!tick)
        return; /* the next turn tries again */
    tick->source = source;
    choose_readers(tick);
    if (tick->count == 0) {
        free(tick);
        return;
    }
    int64_t bytes = (int64_t)reader_expected_bytes(source);
    tick->bytes = bytes;
    tick->rows = bytes / ROW_OVERHEAD < ROWS_AT_ONCE ? bytes / ROW_OVERHEAD : ROWS_AT_ONCE;
    tick->began_us = loop_now(source->loop);
    wake_before_tick(source);
    source->tick = tick;
    send_tick(tick);
}

void tick_turn(struct source *source)
{
    if (source->wants.read)
        readers_all_due(source);
    source->wants.read = false;
    if (!source->tick)
        begin(source);
}

void tick_stop(struct source *source)
{
    if (source->tick)
        tick_free(source->tick);
    source->tick = NULL;
}
