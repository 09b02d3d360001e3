/* See verdict.h. */
#include "outbox-relay/engine/verdict.h"

static enum verdict judge_status(int status)
{
    if (status >= 200 && status < 300)
        return VERDICT_DELIVERED;
    switch (status) {
    case 410:
        return VERDICT_GONE;
    case 408: /* the receiver gave up waiting */
    case 425: /* too early */
    case 429:
        return VERDICT_DOWN;
    case 500:
        return VERDICT_REFUSED;
    default:
        /* A redirect, or a 5xx other than 500, says nothing about the event: it comes from a wrong
         * URL or from what stands in front of the receiver. No event is given up for that. */
        return status >= 400 && status < 500 ? VERDICT_REFUSED : VERDICT_DOWN;
    }
}

enum verdict judge(const struct response *response)
{
    if (response->outcome != RESPONSE_STATUS)
        return VERDICT_DOWN;
    return judge_status(response->status);
}

enum verdict judge_failed_list(
    const struct response *response, enum verdict verdict, struct failed_list *ret_failed)
{
    struct failed_list failed;
    switch (failed_list_parse(response->body, response->body_length, response->cut, &failed)) {
    case FAILED_LIST_NONE:
        return verdict;
    case FAILED_LIST_READ:
        break;
    case FAILED_LIST_UNREADABLE:
        return VERDICT_REFUSED;
    }
    /* A refusal that names nobody delivers nothing. */
    if (verdict == VERDICT_REFUSED && failed.count == 0) {
        failed_list_release(&failed);
        return VERDICT_REFUSED;
    }
    *ret_failed = failed;
    return VERDICT_DELIVERED;
}
