/* See endpoint_store.h. */
#include "outbox-relay/engine/endpoint_store.h"
#include "outbox-relay/engine/statements.h"
#include "outbox-relay/postgres/pg_text.h"
#include "shared/base/log.h"

static void on_written(void *context, const char *sqlstate)
{
    if (sqlstate)
        source_unit_failed(context, sqlstate);
}

void endpoint_store_disable(struct subscription *s, const char *reason)
{
    char text[ERROR_MAX + 1];
    error_text(reason, text);
    const char *values[] = {s->name, text};
    log_warn("subscription disabled: the receiver answered 410 Gone",
        LOG_TEXT("source", s->source->name), LOG_TEXT("subscription", s->name));
    source_fence(s->source);
    pg_send(s->source->work, &DISABLE, values, NULL, NULL);
    pg_commit(s->source->work, on_written, s->source);
}

void endpoint_store_breaker(struct subscription *s, const char *error)
{
    char text[ERROR_MAX + 1];
    if (error)
        error_text(error, text);
    const char *values[] = {s->name, error ? "open" : "closed", error ? text : NULL};
    source_fence(s->source);
    pg_send(s->source->work, &WRITE_BREAKER, values, NULL, NULL);
    pg_commit(s->source->work, on_written, s->source);
}
