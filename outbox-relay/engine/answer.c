/* See answer.h. */
#include "outbox-relay/engine/answer.h"
#include "outbox-relay/engine/backlog.h"
#include "outbox-relay/engine/breaker.h"
#include "outbox-relay/engine/endpoint_store.h"
#include "outbox-relay/engine/lane_queue.h"
#include "outbox-relay/engine/parked_retry.h"
#include "outbox-relay/engine/parking.h"
#include "outbox-relay/engine/subscription.h"
#include "outbox-relay/engine/verdict.h"
#include "outbox-relay/event/failed_list.h"
#include "shared/base/clock.h"
#include "shared/base/utf8.h"

#include <stdio.h>

#define DESCRIBE_MAX 400 /* bytes of an answer that are kept as the error */
/* After so many broken requests between which others got through, an event counts as refused. */
#define POISON_CRASHES 3

static void delivered(struct lane *lane, struct item *item, int64_t now_us)
{
    struct subscription *s = lane->subscription;
    metrics_delivered(s->metrics, now_us - item->event->created_us);
    if (lane->suspects > 0)
        lane->suspects--;
    if (lane->for_parked)
        parked_retry_delivered(s, item);
    else
        backlog_settle(s, item);
}

static void refused(
    struct lane *lane, struct item *item, int status, const char *error, bool permanent)
{
    struct subscription *s = lane->subscription;
    if (lane->suspects > 0)
        lane->suspects--;
    if (lane->for_parked)
        parked_retry_refused(s, item, status, error, permanent);
    else if (keyset_find(&s->parked, item->event->key))
        parking_behind(s, item); /* an earlier one of its key was refused in the same batch */
    else
        parking_begin(s, item, status, error, permanent);
}

/* Every event of the request has its own outcome: those in `failed` are refused. */
static void apply_outcomes(struct lane *lane, const struct failed_list *failed, int status)
{
    int64_t now_us = clock_unix_us();
    struct item *next, *item = lane->sending;
    lane->sending = NULL;
    lane->sending_count = 0;
    for (; item; item = next) {
        next = item->next;
        const struct failed_event *entry = failed_list_find(failed, item->event->uuid);
        if (entry)
            refused(lane, item, status, entry->error, entry->permanent);
        else
            delivered(lane, item, now_us);
    }
}

/* Sends the first half alone next, until the culprit is found. */
static void halve(struct lane *lane)
{
    if (lane->suspects < (int)lane->sending_count)
        lane->suspects = (int)lane->sending_count;
    lane->batch_limit = (int)(lane->sending_count / 2);
    lane_put_back(lane);
}

static void describe(const struct response *response, char *text, size_t size)
{
    if (response->outcome != RESPONSE_STATUS) {
        snprintf(text, size, "%s", response->error);
        return;
    }
    snprintf(text, size, "HTTP %d%s%.*s", response->status, response->body_length ? ": " : "",
        (int)utf8_cut(response->body, DESCRIBE_MAX), response->body);
}

static void on_refused(struct lane *lane, const struct response *response, const char *error)
{
    if (lane->sending_count > 1) {
        halve(lane);
        return;
    }
    struct item *item = lane->sending;
    lane->sending = NULL;
    lane->sending_count = 0;
    refused(lane, item, response->status, error, false);
    lane->batch_limit = lane->suspects; /* the rest of the refused batch at once */
}

static void count_crash(const struct subscription *s, struct item *item)
{
    if (item->crashes++ == 0 || s->answer.successes > item->successes_then)
        item->own_crashes++;
    item->successes_then = s->answer.successes;
}

/* Requests that break in the middle may be the event's fault: it crashes the receiver, or makes it
 * hang. That is believed only when other requests get through. */
static void note_crash(struct lane *lane, const char *error)
{
    struct item *item = lane->sending;
    bool solo = lane->sending_count == 1;
    if (!item)
        return;
    for (struct item *each = item; each; each = each->next)
        count_crash(lane->subscription, each);
    if (solo && item->own_crashes >= POISON_CRASHES) {
        lane->sending = NULL;
        lane->sending_count = 0;
        refused(lane, item, 0, error, false);
    } else if (item->crashes >= SUSPECT_CRASHES) {
        lane_put_back(lane);
        if (solo)
            lane_let_others_pass(lane);
    }
}

static void on_down(struct lane *lane, const struct response *response, const char *error)
{
    struct subscription *s = lane->subscription;
    s->answer.next_probe = (int)(lane - s->lanes.list) + 1; /* another lane tries next */
    if (response->outcome == RESPONSE_BROKEN || response->outcome == RESPONSE_TIMEOUT)
        note_crash(lane, error);
    breaker_failure(s, error, response->retry_after_s);
}

void answer_apply(struct lane *lane, const struct response *response)
{
    static const enum attempt_outcome OUTCOMES[] = {
        [VERDICT_DELIVERED] = ATTEMPT_DELIVERED,
        [VERDICT_REFUSED] = ATTEMPT_REFUSED,
        [VERDICT_DOWN] = ATTEMPT_DOWN,
        [VERDICT_GONE] = ATTEMPT_GONE,
    };
    struct subscription *s = lane->subscription;
    struct failed_list failed = {0};
    char error[512];
    enum verdict verdict = judge(response);
    if (verdict == VERDICT_DELIVERED || verdict == VERDICT_REFUSED)
        verdict = judge_failed_list(response, verdict, &failed);
    describe(response, error, sizeof(error));
    counter_add(&s->metrics->attempts[OUTCOMES[verdict]], 1);
    switch (verdict) {
    case VERDICT_DELIVERED:
        s->answer.successes++;
        apply_outcomes(lane, &failed, response->status);
        breaker_success(s);
        break;
    case VERDICT_REFUSED:
        s->answer.successes++;
        on_refused(lane, response, error);
        breaker_success(s);
        break;
    case VERDICT_DOWN:
        on_down(lane, response, error);
        break;
    case VERDICT_GONE:
        subscription_set_state(s, SUBSCRIPTION_DISABLED);
        endpoint_store_disable(s, error);
        break;
    }
    failed_list_release(&failed);
}
