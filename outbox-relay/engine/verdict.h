/* What an answer means. Pure functions; the lane alone asks. */
#ifndef RELAY_VERDICT_H
#define RELAY_VERDICT_H

#include "outbox-relay/event/failed_list.h"
#include "outbox-relay/http/exchange.h"

/* What became of a request; see docs/mechanisms/delivery.md. */
enum verdict {
    VERDICT_DELIVERED,
    VERDICT_REFUSED, /* the event is at fault: park its key */
    VERDICT_DOWN,    /* the endpoint is at fault: open the breaker */
    VERDICT_GONE,    /* 410: disable the subscription */
};

/* By the status alone. */
enum verdict judge(const struct response *response);

/* Looks for failed events in an answer that was judged `verdict` (delivered or refused). Returns
 * VERDICT_DELIVERED when there is a list, with the list; VERDICT_REFUSED when the answer seems to
 * have one that can't be read, so that nothing is taken for delivered by mistake; else `verdict`.
 * `ret_failed` is untouched without a list. */
enum verdict judge_failed_list(
    const struct response *response, enum verdict verdict, struct failed_list *ret_failed);

#endif
