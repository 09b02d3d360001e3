/* See lane_queue.h. */
#include "outbox-relay/engine/lane_queue.h"
#include "outbox-relay/http/transport.h"

#include "shared/base/log.h"

#include <errno.h>

static void lane_init(struct lane *lane, struct subscription *subscription, bool for_parked)
{
    *lane = (struct lane){.subscription = subscription, .for_parked = for_parked};
    lane->tail = &lane->head;
}

static void set_in_flight(struct lane *lane, bool in_flight)
{
    const struct subscription *s = lane->subscription;
    log_debug("lane", LOG_TEXT("source", s->source->name), LOG_TEXT("subscription", s->name),
        LOG_INT("lane", lane - s->lanes.list), LOG_INT("events", lane->sending_count),
        LOG_TEXT("request", in_flight ? "started" : "ended"));
    lane->in_flight = in_flight;
}

void lane_request_started(struct lane *lane)
{
    struct subscription *s = lane->subscription;
    set_in_flight(lane, true);
    s->lanes.in_flight++;
    s->lanes.sending_bytes += lane->body.length;
    s->source->sending_bytes += lane->body.length;
}

void lane_request_ended(struct lane *lane)
{
    struct subscription *s = lane->subscription;
    if (s->source->sending_bytes >= (size_t)s->source->settings->buffer_bytes)
        source_wants_turn(s->source); /* other subscriptions may have waited for room */
    set_in_flight(lane, false);
    s->lanes.in_flight--;
    s->lanes.sending_bytes -= lane->body.length;
    s->source->sending_bytes -= lane->body.length;
}

void lane_release(struct lane *lane)
{
    transfer_free(lane->transfer);
    lane->transfer = NULL;
    if (lane->in_flight)
        lane_request_ended(lane);
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

struct item *lane_pop(struct lane *lane)
{
    struct item *item = lane->head;
    lane->head = item->next;
    if (!lane->head)
        lane->tail = &lane->head;
    item->next = NULL;
    return item;
}

void lane_put_back(struct lane *lane)
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
        lane_put_back(lane);
    struct item *waiting = lane->head;
    lane->head = NULL;
    lane->tail = &lane->head;
    return waiting;
}

void lane_let_others_pass(struct lane *lane)
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

void lanes_empty(struct subscription *s)
{
    for (int i = 0; i < s->lanes.count; i++) {
        struct lane *lane = &s->lanes.list[i];
        lane->head = lane->sending = NULL;
        lane->tail = &lane->head;
        lane->sending_count = 0;
        lane->suspects = 0;
    }
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
    for (int i = 0; i < s->lanes.count; i++) {
        struct lane *old = &s->lanes.list[i];
        lane_put_back(old);
        while (old->head) {
            struct item *item = lane_pop(old);
            uint64_t lane = item->event->key % (uint64_t)max_in_flight;
            lane_push(&lanes[old->for_parked ? (uint64_t)count - 1 : lane], item);
        }
        lane_release(old);
    }
    free(s->lanes.list);
    s->lanes.list = lanes;
    s->lanes.count = count;
    return 0;
}
