/* See reader.h. */
#include "outbox-relay/engine/reader.h"
#include "outbox-relay/engine/cursor_store.h"
#include "outbox-relay/engine/statements.h"
#include "outbox-relay/engine/subscription.h"
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

/* Membership -------------------------------------------------------------------------------------
 */

static void add_member(struct reader *reader, struct subscription *s)
{
    s->reader = reader;
    s->next_in_reader = reader->members;
    reader->members = s;
}

static struct reader *reader_new(struct source *source, const struct cursor *cursor)
{
    struct reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return NULL;
    cursor_copy(&reader->cursor, cursor);
    reader->due = true;
    reader->next = source->readers;
    source->readers = reader;
    source->reader_count++;
    return reader;
}

static void reader_free(struct source *source, struct reader *reader)
{
    struct reader **link = &source->readers;
    while (*link != reader)
        link = &(*link)->next;
    *link = reader->next;
    source->reader_count--;
    for (size_t i = 0; source->tick && i < source->tick->count; i++)
        if (source->tick->parts[i].reader == reader)
            source->tick->parts[i].reader = NULL;
    cursor_release(&reader->cursor);
    free(reader);
}

static void take_out(struct subscription *s)
{
    struct subscription **link = &s->reader->members;
    while (*link != s)
        link = &(*link)->next_in_reader;
    *link = s->next_in_reader;
    s->reader = NULL;
    s->next_in_reader = NULL;
}

int reader_join(struct subscription *s)
{
    struct reader *reader = reader_new(s->source, &s->settled);
    if (!reader)
        return -ENOMEM;
    add_member(reader, s);
    return 0;
}

void reader_leave(struct subscription *s)
{
    struct reader *reader = s->reader;
    if (!reader)
        return;
    take_out(s);
    if (!reader->members)
        reader_free(s->source, reader);
}

static void tick_free(struct tick *tick)
{
    for (size_t i = 0; i < tick->count; i++) {
        PQclear(tick->parts[i].late);
        PQclear(tick->parts[i].fresh);
    }
    snapshot_unref(tick->snapshot);
    free(tick);
}

void readers_free(struct source *source)
{
    while (source->readers) {
        struct reader *reader = source->readers;
        while (reader->members)
            take_out(reader->members);
        reader_free(source, reader);
    }
    if (source->tick)
        tick_free(source->tick);
    source->tick = NULL;
}

/* Splitting and merging
 * ----------------------------------------------------------------------------
 */

static size_t expected_bytes(const struct source *source)
{
    return source_buffer_share(source) / 4;
}

/* Whether all members have room. Those without are sent off to readers of their own as soon as they
 * would let another member starve. */
static bool make_room(struct source *source, struct reader *reader)
{
    size_t bytes = expected_bytes(source);
    bool full = false, starving = false;
    for (struct subscription *s = reader->members; s; s = s->next_in_reader) {
        full |= !subscription_has_room(s, bytes);
        starving |= s->queued_bytes == 0 && subscription_has_room(s, bytes);
    }
    if (!full || !starving)
        return !full;
    struct subscription *next;
    for (struct subscription *s = reader->members; s; s = next) {
        next = s->next_in_reader;
        if (subscription_has_room(s, bytes))
            continue;
        struct reader *own = reader_new(source, &reader->cursor);
        if (!own)
            return false; /* out of memory: the others wait */
        take_out(s);
        add_member(own, s);
    }
    return true;
}

static bool all_have_room(const struct source *source, const struct reader *reader)
{
    for (const struct subscription *s = reader->members; s; s = s->next_in_reader)
        if (!subscription_has_room(s, expected_bytes(source)))
            return false;
    return true;
}

bool reader_is_stuck(const struct source *source, const struct reader *reader)
{
    return reader && reader->due && !all_have_room(source, reader);
}

bool readers_stuck(const struct source *source)
{
    const struct reader *reader = source->readers;
    while (reader && !reader_is_stuck(source, reader))
        reader = reader->next;
    return reader;
}

static void merge_into(struct source *source, struct reader *reader, struct reader *other)
{
    while (other->members) {
        struct subscription *s = other->members;
        take_out(s);
        add_member(reader, s);
    }
    if (other->cursor.floor > reader->cursor.floor)
        cursor_copy(&reader->cursor, &other->cursor);
    reader->due |= other->due;
    reader_free(source, other);
}

/* Readers that stand at the same point become one. */
static void merge(struct source *source)
{
    for (struct reader *reader = source->readers; reader; reader = reader->next) {
        struct reader *next;
        for (struct reader *other = reader->next; other; other = next) {
            next = other->next;
            if (cursor_same(&reader->cursor, &other->cursor) && all_have_room(source, reader) &&
                all_have_room(source, other))
                merge_into(source, reader, other);
        }
    }
}

static void move_to_end(struct source *source, struct reader *reader)
{
    struct reader **link = &source->readers;
    while (*link != reader)
        link = &(*link)->next;
    *link = reader->next;
    while (*link)
        link = &(*link)->next;
    *link = reader;
    reader->next = NULL;
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
    tick->source->last_id = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
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
    for (struct subscription *s = reader->members; s && ret == 0; s = s->next_in_reader)
        ret = subscription_take(s, read, &reader->cursor);
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
    if (sqlstate || !tick->snapshot) {
        source_write_failed(source, sqlstate ? sqlstate : "53200");
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
    source->failures = 0; /* all is well */
    int64_t took_us = loop_now(source->loop) - tick->began_us;
    tick_free(tick);
    merge(source);
    wake_after_tick(source, outcome, took_us);
    source_wants_turn(source);
}

/* Tick -------------------------------------------------------------------------------------------
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

static void send_mark(struct source *source)
{
    const struct marks *marks = &source->marks;
    int64_t marked = marks->count ? marks->list[marks->count - 1].position : -MARK_EVERY;
    if (source->last_id < marked + MARK_EVERY)
        return;
    char position[NUMBER_SIZE];
    const char *values[] = {number_text(source->last_id, position)};
    pg_send(source->work, &TAKE_MARK, values, cursor_store_on_mark, source);
    pg_commit(source->work, NULL, NULL);
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

static void note_wanted(struct source *source)
{
    if (!source->read_wanted)
        return;
    source->read_wanted = false;
    for (struct reader *reader = source->readers; reader; reader = reader->next)
        reader->due = true;
}

bool readers_tick(struct source *source)
{
    note_wanted(source);
    if (source->tick)
        return true;
    struct tick *tick = calloc(1, sizeof(*tick));
    if (!tick)
        return false;
    tick->source = source;
    struct reader *next;
    for (struct reader *reader = source->readers; reader; reader = next) {
        next = reader->next;
        if (tick->count == READERS_PER_TICK || !reader->due || !make_room(source, reader))
            continue;
        tick->parts[tick->count++] = (struct tick_part){.source = source, .reader = reader};
    }
    for (size_t i = 0; i < tick->count; i++)
        move_to_end(source, tick->parts[i].reader); /* so that all have their turn */
    if (tick->count == 0) {
        free(tick);
        return false;
    }
    int64_t bytes = (int64_t)expected_bytes(source);
    tick->bytes = bytes;
    tick->rows = bytes / ROW_OVERHEAD < ROWS_AT_ONCE ? bytes / ROW_OVERHEAD : ROWS_AT_ONCE;
    tick->began_us = loop_now(source->loop);
    wake_before_tick(source);
    source->tick = tick;
    send_tick(tick);
    return true;
}
