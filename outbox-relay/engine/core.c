/* See core.h. */
#include "outbox-relay/engine/core.h"
#include "outbox-relay/base/backoff.h"
#include "outbox-relay/engine/allow.h"
#include "outbox-relay/engine/statements.h"

#include <stdio.h>
#include <string.h>

#define SMALLEST_SHARE ((size_t)256 * 1024)

void source_fail(struct source *source, const char *reason)
{
    if (!source->failure)
        source->failure = strdup(reason);
    if (!source->failure)
        abort(); /* a few bytes */
}

void source_write_failed(struct source *source, const char *sqlstate)
{
    char text[sizeof(source->refusal) + 64];
    if (strcmp(sqlstate, FENCED_SQLSTATE) == 0) {
        source_fail(source, "another relay has been elected");
        return;
    }
    snprintf(text, sizeof(text), "the database refused a statement: %s (SQLSTATE %s)",
        source->refusal, sqlstate);
    source_fail(source, text);
}

void source_fence(struct source *source)
{
    const char *values[] = {source->epoch_text};
    pg_send(source->work, &FENCE, values, NULL, NULL);
}

void source_wants_turn(struct source *source)
{
    source->kick = true;
}

void source_wants_read(struct source *source)
{
    source->read_wanted = true;
}

void source_wants_reload(struct source *source)
{
    source->reload_wanted = true;
    source->kick = true;
}

bool source_may_send(const struct source *source)
{
    return (source->state == SOURCE_ACTIVE || source->state == SOURCE_STOPPING) &&
           !source->failure && !source->resigning && !source->stop_overdue &&
           loop_now(source->loop) < source->lease_until_us;
}

bool source_allows(const struct source *source, const char *url)
{
    return allow_url(source->settings->allow_hosts, url);
}

uint64_t source_random(struct source *source)
{
    return random_next(&source->random);
}

size_t source_buffer_share(const struct source *source)
{
    size_t readers = source->reader_count ? source->reader_count : 1;
    size_t share = (size_t)source->settings->buffer_bytes / readers;
    return share > SMALLEST_SHARE ? share : SMALLEST_SHARE;
}
