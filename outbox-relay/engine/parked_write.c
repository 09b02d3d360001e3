/* See parked_write.h. */
#include "outbox-relay/engine/parked_write.h"
#include "outbox-relay/engine/parked_count.h"
#include "outbox-relay/engine/statements.h"
#include "shared/base/log.h"
#include "shared/base/uuid.h"

void parked_write_fence(struct subscription *s)
{
    const char *values[] = {s->source->epoch_text, s->name};
    pg_send(s->source->work, &FENCE_PARKED, values, NULL, NULL);
}

struct parked_write *parked_write_new(struct subscription *s, struct item *item)
{
    struct parked_write *write = calloc(1, sizeof(*write));
    if (!write)
        abort(); /* some bytes, and the event must not be forgotten */
    write->subscription = s;
    write->item = item;
    write->key = item->event->key;
    s->writes++;
    return write;
}

bool parked_write_done(struct parked_write *write, const char *sqlstate)
{
    struct subscription *s = write->subscription;
    s->writes--;
    if (sqlstate) {
        source_unit_failed(s->source, sqlstate);
        return false;
    }
    parked_count_soon(s->source);
    source_wants_turn(s->source);
    return true;
}

void parked_log_dead(
    const struct subscription *s, const struct event *event, int attempts, const char *error)
{
    char id[37] = {0};
    uuid_write(event->uuid, id);
    log_warn("event is dead", LOG_TEXT("source", s->source->name),
        LOG_TEXT("subscription", s->name), LOG_TEXT("event_id", id), LOG_INT("attempts", attempts),
        LOG_TEXT("error", error));
}
