/* See lane.h. */
#include "outbox-relay/engine/lane.h"
#include "outbox-relay/engine/answer.h"
#include "outbox-relay/engine/breaker.h"
#include "outbox-relay/engine/lane_queue.h"
#include "outbox-relay/engine/parked_retry.h"
#include "outbox-relay/engine/parking.h"
#include "outbox-relay/engine/subscription.h"
#include "outbox-relay/event/cloudevent.h"
#include "outbox-relay/http/transport.h"
#include "shared/base/hash.h"
#include "shared/base/uuid.h"
#include "shared/base/webhook.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define KEEP_BODY 65536 /* a larger body's memory is given back */

static bool may_send(const struct subscription *s)
{
    return s->state == SUBSCRIPTION_ACTIVE && s->phase == PHASE_CURRENT && s->allowed &&
           s->signing.signer && lanes_fit(s) && source_may_send(s->source) &&
           breaker_lets_through(s);
}

static size_t next_size(const struct lane *lane)
{
    const struct subscription *s = lane->subscription;
    if (lane->for_parked || s->breaker.state == BREAKER_HALF_OPEN)
        return 1;
    if (lane->head && lane->head->crashes >= SUSPECT_CRASHES)
        return 1;
    size_t limit = (size_t)s->row.batch_size;
    if (lane->suspects > 0 && lane->batch_limit > 0 && (size_t)lane->batch_limit < limit)
        limit = (size_t)lane->batch_limit;
    return limit;
}

/* On a graceful stop only what other lanes have overtaken is sent, so that the stored cursor loses
 * none of what they have delivered. */
static uint64_t last_number(const struct subscription *s)
{
    return s->source->state == SOURCE_STOPPING ? s->backlog.highest_settled : UINT64_MAX;
}

bool lanes_finished(const struct subscription *s)
{
    if (s->lanes.in_flight > 0)
        return false;
    if (!may_send(s))
        return true; /* nothing to wait for */
    for (int i = 0; i < s->lanes.count; i++) {
        const struct lane *lane = &s->lanes.list[i];
        const struct item *first = lane->sending ? lane->sending : lane->head;
        if (first && !lane->for_parked && first->number < s->backlog.highest_settled)
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
        struct item *item = lane_pop(lane);
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
    if (s->row.batch_size == 1) {
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
    if (lane->subscription->row.batch_size == 1) {
        uuid_write(lane->sending->event->uuid, id);
        id[UUID_LENGTH] = '\0';
        return;
    }
    uint64_t hash = HASH_START;
    for (const struct item *item = lane->sending; item; item = item->next)
        hash = hash_bytes(hash, item->event->uuid, sizeof(item->event->uuid));
    snprintf(id, 64, "batch_%016" PRIx64 "_%zu", hash, lane->sending_count);
}

static void kick(struct lane *lane);

static void on_answer(void *context, const struct response *response)
{
    struct lane *lane = context;
    struct subscription *s = lane->subscription;
    lane_request_ended(lane);
    buffer_clear(&lane->body, KEEP_BODY);
    if (s->phase != PHASE_CURRENT)
        source_wants_turn(s->source); /* the queue is dropped as soon as nothing is in flight */
    else
        answer_apply(lane, response);
    if (lane->for_parked)
        parked_retry_answered(s);
    kick(lane);
}

static int start_request(struct lane *lane)
{
    struct subscription *s = lane->subscription;
    char id[64], timestamp[24], signatures[WEBHOOK_SIGNATURES_SIZE];
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
    int ret = webhook_signer_sign(
        s->signing.signer, id, timestamp, lane->body.data, lane->body.length, signatures);
    if (ret < 0)
        return ret;
    return transfer_start(lane->transfer,
        &(struct request){
            .url = s->row.url,
            .content_type = s->row.batch_size == 1 ? CLOUDEVENT_TYPE : CLOUDEVENT_BATCH_TYPE,
            .webhook_id = id,
            .webhook_timestamp = timestamp,
            .webhook_signature = signatures,
            .body = lane->body.data,
            .body_length = lane->body.length,
            .timeout_ms = s->row.timeout_ms,
        });
}

/* Starts the next request when there is something to send and it may be sent. */
static void kick(struct lane *lane)
{
    struct subscription *s = lane->subscription;
    if (lane->in_flight || !lane_has_work(lane) || !may_send(s) || !subscription_may_send_more(s))
        return;
    if (lane->for_parked && s->source->state == SOURCE_STOPPING)
        return;
    /* What is to be sent again may be more than the subscription takes by now. */
    if (lane->sending_count > (size_t)s->row.batch_size)
        lane_put_back(lane);
    if (!lane->sending)
        fill(lane);
    if (!lane->sending || lane->sending->number > last_number(s))
        return;
    int ret = start_request(lane);
    if (ret < 0) {
        buffer_clear(&lane->body, KEEP_BODY);
        breaker_failure(s, ret == -EINVAL ? "invalid URL" : "out of memory", -1);
        return;
    }
    lane_request_started(lane);
}

void lanes_break_off(struct subscription *s)
{
    for (int i = 0; i < s->lanes.count; i++)
        lane_release(&s->lanes.list[i]);
}

void lanes_kick(struct subscription *s)
{
    int first = s->answer.next_probe % s->lanes.count;
    for (int i = 0; i < s->lanes.count; i++)
        kick(&s->lanes.list[(first + i) % s->lanes.count]);
}
