/* See reader.h. */
#include "outbox-relay/engine/reader.h"
#include "outbox-relay/engine/subscription.h"

#include <errno.h>

/* Membership -------------------------------------------------------------------------------------
 */

static void add_member(struct reader *reader, struct subscription *s)
{
    s->reading.reader = reader;
    s->reading.next = reader->members;
    reader->members = s;
}

static struct reader *reader_new(struct source *source, const struct cursor *cursor)
{
    struct reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return NULL;
    cursor_copy(&reader->cursor, cursor);
    reader->due = true;
    reader->next = source->readers.list;
    source->readers.list = reader;
    source->readers.count++;
    return reader;
}

static void reader_free(struct source *source, struct reader *reader)
{
    struct reader **link = &source->readers.list;
    while (*link != reader)
        link = &(*link)->next;
    *link = reader->next;
    source->readers.count--;
    if (reader->in_tick)
        *reader->in_tick = NULL;
    cursor_release(&reader->cursor);
    free(reader);
}

static void take_out(struct subscription *s)
{
    struct subscription **link = &s->reading.reader->members;
    while (*link != s)
        link = &(*link)->reading.next;
    *link = s->reading.next;
    s->reading.reader = NULL;
    s->reading.next = NULL;
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
    struct reader *reader = s->reading.reader;
    if (!reader)
        return;
    take_out(s);
    if (!reader->members)
        reader_free(s->source, reader);
}

void readers_free(struct source *source)
{
    while (source->readers.list) {
        struct reader *reader = source->readers.list;
        while (reader->members)
            take_out(reader->members);
        reader_free(source, reader);
    }
}

void readers_all_due(struct source *source)
{
    for (struct reader *reader = source->readers.list; reader; reader = reader->next)
        reader->due = true;
}

/* Splitting and merging
 * ----------------------------------------------------------------------------
 */

size_t reader_expected_bytes(const struct source *source)
{
    return source_buffer_share(source) / 4;
}

bool reader_make_room(struct source *source, struct reader *reader)
{
    size_t bytes = reader_expected_bytes(source);
    bool full = false, starving = false;
    for (struct subscription *s = reader->members; s; s = s->reading.next) {
        full |= !subscription_has_room(s, bytes);
        starving |= s->backlog.bytes == 0 && subscription_has_room(s, bytes);
    }
    if (!full || !starving)
        return !full;
    struct subscription *next;
    for (struct subscription *s = reader->members; s; s = next) {
        next = s->reading.next;
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
    for (const struct subscription *s = reader->members; s; s = s->reading.next)
        if (!subscription_has_room(s, reader_expected_bytes(source)))
            return false;
    return true;
}

static bool is_stuck(const struct source *source, const struct reader *reader)
{
    return reader->due && !all_have_room(source, reader);
}

bool reader_is_due(const struct subscription *s)
{
    return s->reading.reader && s->reading.reader->due;
}

bool reader_is_stuck(const struct subscription *s)
{
    return s->reading.reader && is_stuck(s->source, s->reading.reader);
}

bool readers_stuck(const struct source *source)
{
    const struct reader *reader = source->readers.list;
    while (reader && !is_stuck(source, reader))
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

void readers_merge(struct source *source)
{
    for (struct reader *reader = source->readers.list; reader; reader = reader->next) {
        struct reader *next;
        for (struct reader *other = reader->next; other; other = next) {
            next = other->next;
            if (cursor_same(&reader->cursor, &other->cursor) && all_have_room(source, reader) &&
                all_have_room(source, other))
                merge_into(source, reader, other);
        }
    }
}

void reader_move_to_end(struct source *source, struct reader *reader)
{
    struct reader **link = &source->readers.list;
    while (*link != reader)
        link = &(*link)->next;
    *link = reader->next;
    while (*link)
        link = &(*link)->next;
    *link = reader;
    reader->next = NULL;
}
