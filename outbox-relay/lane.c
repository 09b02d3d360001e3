/* See lane.h. */
#include "outbox-relay/lane.h"
#include "outbox-relay/breaker.h"
#include "outbox-relay/cloudevent.h"
#include "outbox-relay/parking.h"
#include "outbox-relay/settle.h"
#include "outbox-relay/source.h"
#include "outbox-relay/verdict.h"
#include "shared/base/log.h"
#include "shared/base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define DESCRIBE_MAX 400 /* bytes of an answer that are kept as the error */
#define KEEP_BODY 65536  /* a larger body's memory is given back */
/* After so many broken requests an event is sent alone, and other keys before it; after so many
 * between which others got through, it counts as refused. */
#define SUSPECT_CRASHES 2
#define POISON_CRASHES 3

/* ---- Queue ---- */

void lane_init(struct lane *lane, struct subscription *subscription, bool for_parked)
{
    *lane = (struct lane){.subscription = subscription, .for_parked = for_parked};
    lane->tail = &lane->head;
}

static void request_ended(struct lane *lane)
{
    struct subscription *s = lane->subscription;
    if (s->source->sending_bytes >= (size_t)s->source->settings->buffer_bytes)
        source_wants_turn(s->source); /* other subscriptions may have waited for room */
    s->source->sending_bytes -= lane->body.length;
    s->sending_bytes -= lane->body.length;
    s->in_flight--;
    lane->in_flight = false;
}

void lane_release(struct lane *lane)
{
    transfer_free(lane->transfer);
    lane->transfer = NULL;
    if (lane->in_flight)
        request_ended(lane);
    buffer_release(&lane->body);
}

void lane_push(struct lane *lane, struct item *item)
{
    item->next = NULL;
    *lane->tail = item;
    lane->tail = &item->next;
}

bool lane_has_work(const struct lane *lane)
{
    return lane->sending || lane->head;
}

static struct item *pop(struct lane *lane)
{
    struct item *item = lane->head;
    lane->head = item->next;
    if (!lane->head)
        lane->tail = &lane->head;
    item->next = NULL;
    return item;
}

/* Puts what was taken for a request back to the front, in order. */
static void put_back(struct lane *lane)
{
    struct item **end = &lane->sending;
    while (*end)
        end = &(*end)->next;
    *end = lane->head;
    if (!lane->head)
        lane->tail = end;
    lane->head = lane->sending;
    if (!lane->head)
        lane->tail = &lane->head;
    lane->sending = NULL;
    lane->sending_count = 0;
}

struct item *lane_take_waiting(struct lane *lane)
{
    if (!lane->in_flight)
        put_back(lane);
    struct item *waiting = lane->head;
    lane->head = NULL;
    lane->tail = &lane->head;
    return waiting;
}

int lanes_resize(struct subscription *s, int max_in_flight)
{
    if (max_in_flight < 1)
        return -EINVAL;
    int count = max_in_flight + 1;
    struct lane *lanes = calloc((size_t)count, sizeof(*lanes));
    if (!lanes)
        return -ENOMEM;
    for (int i = 0; i <= max_in_flight; i++)
        lane_init(&lanes[i], s, i == max_in_flight);
    /* All events of a key are in one lane, so taking lane by lane keeps each key's order. */
    for (int i = 0; i < s->lane_count; i++) {
        struct lane *old = &s->lanes[i];
        put_back(old);
        while (old->head) {
            struct item *item = pop(old);
            uint64_t lane = item->event->key % (uint64_t)max_in_flight;
            lane_push(&lanes[old->for_parked ? (uint64_t)count - 1 : lane], item);
        }
        lane_release(old);
    }
    free(s->lanes);
    s->lanes = lanes;
    s->lane_count = count;
    s->max_in_flight = max_in_flight;
    return 0;
}

static bool may_send(const struct subscription *s)
{
    return s->active && s->allowed && s->signer && !s->gone && !s->reload &&
           s->wanted_in_flight == s->max_in_flight && source_may_send(s->source) &&
           breaker_lets_through(s);
}

/* ---- Sending ---- */

static size_t next_size(const struct lane *lane)
{
    const struct subscription *s = lane->subscription;
    if (lane->for_parked || s->breaker == BREAKER_HALF_OPEN)
        return 1;
    if (lane->head && lane->head->crashes >= SUSPECT_CRASHES)
        return 1;
    size_t limit = (size_t)s->batch_size;
    if (lane->suspects > 0 && lane->batch_limit > 0 && (size_t)lane->batch_limit < limit)
        limit = (size_t)lane->batch_limit;
    return limit;
}

/* On a graceful stop only what other lanes have overtaken is sent, so that the stored cursor loses
 * none of what they have delivered. */
static uint64_t last_number(const struct subscription *s)
{
    return s->source->state == SOURCE_STOPPING ? s->highest_settled : UINT64_MAX;
}

bool lanes_finished(const struct subscription *s)
{
    if (s->in_flight > 0)
        return false;
    if (!may_send(s))
        return true; /* nothing to wait for */
    for (int i = 0; i < s->lane_count; i++) {
        const struct lane *lane = &s->lanes[i];
        const struct item *first = lane->sending ? lane->sending : lane->head;
        if (first && !lane->for_parked && first->number < s->highest_settled)
            return false;
    }
    return true;
}

/* Takes the next events from the queue; those of held back keys go to outbox.delivery instead. */
static void fill(struct lane *lane)
{
    struct subscription *s = lane->subscription;
    size_t limit = next_size(lane);
    uint64_t last = last_number(s);
    struct item **end = &lane->sending;
    while (lane->head && lane->sending_count < limit) {
        if (lane->sending_count > 0 && lane->head->crashes >= SUSPECT_CRASHES)
            break;
        if (lane->head->number > last)
            break;
        struct item *item = pop(lane);
        if (!lane->for_parked && s->parked.count && keyset_find(&s->parked, item->event->key)) {
            parking_behind(s, item);
            continue;
        }
        *end = item;
        end = &item->next;
        lane->sending_count++;
    }
}

static void build_body(struct lane *lane)
{
    const struct subscription *s = lane->subscription;
    struct buffer *body = &lane->body;
    if (s->batch_size == 1) {
        cloudevent_add(body, s->source->source_json, lane->sending->event);
        return;
    }
    BUFFER_ADD(body, "[");
    for (const struct item *item = lane->sending; item; item = item->next) {
        cloudevent_add(body, s->source->source_json, item->event);
        if (item->next)
            BUFFER_ADD(body, ",");
    }
    BUFFER_ADD(body, "]");
}

/* The id of a request, the same whenever the same events are sent. */
static void write_webhook_id(const struct lane *lane, char id[64])
{
    if (lane->subscription->batch_size == 1) {
        uuid_write(lane->sending->event->uuid, id);
        id[36] = '\0';
        return;
    }
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const struct item *item = lane->sending; item; item = item->next)
        for (size_t i = 0; i < sizeof(item->event->uuid); i++)
            hash = (hash ^ item->event->uuid[i]) * UINT64_C(0x100000001b3);
    snprintf(id, 64, "batch_%016" PRIx64 "_%zu", hash, lane->sending_count);
}

static void on_answer(void *context, const struct response *response);

static int start_request(struct lane *lane)
{
    struct subscription *s = lane->subscription;
    char id[64], timestamp[24], signature[SIGNER_TEXT_SIZE];
    int64_t now_s = time(NULL);
    if (!lane->transfer) {
        int ret = transfer_new(s->source->transport, on_answer, lane, &lane->transfer);
        if (ret < 0)
            return ret;
    }
    build_body(lane);
    if (lane->body.failed)
        return -ENOMEM;
    write_webhook_id(lane, id);
    snprintf(timestamp, sizeof(timestamp), "%" PRId64, now_s);
    signer_sign(s->signer, id, now_s, lane->body.data, lane->body.length, signature);
    return transfer_start(lane->transfer,
        &(struct request){
            .url = s->url,
            .content_type = s->batch_size == 1 ? CLOUDEVENT_TYPE : CLOUDEVENT_BATCH_TYPE,
            .webhook_id = id,
            .webhook_timestamp = timestamp,
            .webhook_signature = signature,
            .body = lane->body.data,
            .body_length = lane->body.length,
            .timeout_ms = s->timeout_ms,
        });
}

void lane_kick(struct lane *lane)
{
    struct subscription *s = lane->subscription;
    if (lane->in_flight || !lane_has_work(lane) || !may_send(s) || !subscription_may_send_more(s))
        return;
    if (lane->for_parked && s->source->state == SOURCE_STOPPING)
        return;
    /* What is to be sent again may be more than the subscription takes by now. */
    if (lane->sending_count > (size_t)s->batch_size)
        put_back(lane);
    if (!lane->sending)
        fill(lane);
    if (!lane->sending || lane->sending->number > last_number(s))
        return;
    lane->started_us = loop_now(s->source->loop);
    int ret = start_request(lane);
    if (ret < 0) {
        buffer_clear(&lane->body, KEEP_BODY);
        breaker_failure(s, ret == -EINVAL ? "the URL can't be used" : "out of memory", -1);
        return;
    }
    lane->in_flight = true;
    s->in_flight++;
    s->sending_bytes += lane->body.length;
    s->source->sending_bytes += lane->body.length;
}

void lanes_break_off(struct subscription *s)
{
    for (int i = 0; i < s->lane_count; i++)
        lane_release(&s->lanes[i]);
}

void lanes_kick(struct subscription *s)
{
    int first = s->next_probe % s->lane_count;
    for (int i = 0; i < s->lane_count; i++)
        lane_kick(&s->lanes[(first + i) % s->lane_count]);
}

/* ---- Answers ---- */

static int64_t unix_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static void delivered(struct lane *lane, struct item *item, int64_t now_us)
{
    struct subscription *s = lane->subscription;
    stats_delivered(s->stats, now_us - item->event->created_us);
    if (lane->suspects > 0)
        lane->suspects--;
    if (lane->for_parked)
        parking_delivered(s, item);
    else
        subscription_settle(s, item);
}

static void refused(
    struct lane *lane, struct item *item, int status, const char *error, bool permanent)
{
    struct subscription *s = lane->subscription;
    if (lane->suspects > 0)
        lane->suspects--;
    if (lane->for_parked)
        parking_refused(s, item, status, error, permanent);
    else if (keyset_find(&s->parked, item->event->key))
        parking_behind(s, item); /* an earlier one of its key was refused in the same batch */
    else
        parking_begin(s, item, status, error, permanent);
}

/* Every event of the request has its own outcome: those in `failed` are refused. */
static void apply_outcomes(struct lane *lane, const struct failed_list *failed, int status)
{
    int64_t now_us = unix_us();
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
    put_back(lane);
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

/* Moves what waits of the first event's key behind the rest of the lane. Else one event that
 * crashes the receiver would hold up the others, without which nobody knows whose fault it is. */
static void let_others_pass(struct lane *lane)
{
    struct item *passed = NULL, **passed_end = &passed, **link = &lane->head;
    uint64_t key = lane->head->event->key;
    while (*link) {
        struct item *item = *link;
        if (item->event->key != key) {
            link = &item->next;
            continue;
        }
        *link = item->next;
        *passed_end = item;
        passed_end = &item->next;
    }
    *passed_end = NULL;
    *link = passed;
    lane->tail = passed_end;
}

static void count_crash(const struct subscription *s, struct item *item)
{
    if (item->crashes++ == 0 || s->successes > item->successes_then)
        item->own_crashes++;
    item->successes_then = s->successes;
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
        put_back(lane);
        if (solo)
            let_others_pass(lane);
    }
}

static void on_down(struct lane *lane, const struct response *response, const char *error)
{
    struct subscription *s = lane->subscription;
    s->next_probe = (int)(lane - s->lanes) + 1; /* another lane tries next */
    if (response->outcome == RESPONSE_BROKEN || response->outcome == RESPONSE_TIMEOUT)
        note_crash(lane, error);
    breaker_failure(s, error, response->retry_after_s);
}

static void judge_answer(struct lane *lane, const struct response *response)
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
    stat_add(&s->stats->attempts[OUTCOMES[verdict]], 1);
    switch (verdict) {
    case VERDICT_DELIVERED:
        s->successes++;
        apply_outcomes(lane, &failed, response->status);
        breaker_success(s);
        break;
    case VERDICT_REFUSED:
        s->successes++;
        on_refused(lane, response, error);
        breaker_success(s);
        break;
    case VERDICT_DOWN:
        on_down(lane, response, error);
        break;
    case VERDICT_GONE:
        settle_disable(s, error);
        break;
    }
    failed_list_release(&failed);
}

static void on_answer(void *context, const struct response *response)
{
    struct lane *lane = context;
    struct subscription *s = lane->subscription;
    request_ended(lane);
    buffer_clear(&lane->body, KEEP_BODY);
    if (s->gone || s->reload)
        source_wants_turn(s->source); /* the queue is dropped as soon as nothing is in flight */
    else
        judge_answer(lane, response);
    if (lane->for_parked && s->unload_due)
        parking_unload(s);
    lane_kick(lane);
}
