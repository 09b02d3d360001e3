/* See channel.h. */
#include "outbox-relay/engine/channel.h"
#include "outbox-relay/engine/statements.h"
#include "shared/base/log.h"

#include <stdio.h>
#include <string.h>

#define HEARD_WITHIN_US INT64_C(1000000) /* from its commit */
#define AGAIN_US INT64_C(60000000)
#define TELL_EVERY 10 /* failures */

/* Not proved: says so, and tries again later. */
static void not_proved(struct source *source, const char *why, const char *error)
{
    struct channel *channel = &source->channel;
    if (channel->failures++ % TELL_EVERY == 0)
        log_warn(why, LOG_TEXT("source", source->name), LOG_TEXT("host", pg_host(source->session)),
            LOG_TEXT("port", pg_port(source->session)), LOG_TEXT("error", error),
            LOG_INT("poll_interval_ms", source->settings->poll_interval_ms));
    channel->sent = false;
    loop_timer_start(source->loop, &channel->timer, AGAIN_US);
}

static void on_sent(void *context, const char *sqlstate)
{
    struct source *source = context;
    char text[sizeof(source->failure.refusal) + 64];
    if (source->failure.reason || source->channel.proved)
        return;
    if (!sqlstate) {
        loop_timer_start(source->loop, &source->channel.timer, HEARD_WITHIN_US);
        return;
    }
    snprintf(text, sizeof(text), "%s (SQLSTATE %s)", source->failure.refusal, sqlstate);
    not_proved(source,
        "the relay cannot notify itself, so it polls: it does not know whether notifications "
        "reach it",
        text);
}

static void on_timer(void *context)
{
    struct source *source = context;
    if (source->channel.sent)
        not_proved(source,
            "a pooler is in between: LISTEN does not reach this session, so the relay polls; set "
            "OUTBOX_RELAY_WAKE=poll, or connect directly to PostgreSQL",
            "");
    else
        channel_prove(source);
}

/* By the working connection: a session hears itself through a proxy, too. */
void channel_prove(struct source *source)
{
    const char *values[] = {source->lease.holder};
    if (source->polling)
        return;
    source->channel.sent = true;
    pg_send(source->work, &NOTIFY_SELF, values, NULL, NULL);
    pg_commit(source->work, on_sent, source);
}

bool channel_heard(struct source *source, const char *payload)
{
    struct channel *channel = &source->channel;
    if (strcmp(payload, source->lease.holder) != 0)
        return false;
    loop_timer_stop(source->loop, &channel->timer);
    if (channel->failures > 0)
        log_info("notifications reach the session", LOG_TEXT("source", source->name));
    channel->proved = true;
    channel->failures = 0;
    source_wants_read(source); /* instead of the poll that was to come */
    return true;
}

bool channel_is_proved(const struct source *source)
{
    return source->channel.proved;
}

void channel_init(struct source *source)
{
    source->channel = (struct channel){.timer = {.fire = on_timer, .context = source}};
}

void channel_stop(struct source *source)
{
    loop_timer_stop(source->loop, &source->channel.timer);
    channel_init(source);
}
