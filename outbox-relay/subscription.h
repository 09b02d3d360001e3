/* A subscription as the relay holds it: what is queued for it in lanes, how far it is settled, the
 * state of its endpoint, and the keys that are held back. */
#ifndef RELAY_SUBSCRIPTION_H
#define RELAY_SUBSCRIPTION_H

#include "outbox-relay/buffer.h"
#include "outbox-relay/cursor.h"
#include "outbox-relay/keyset.h"
#include "outbox-relay/loop.h"
#include "outbox-relay/read_result.h"
#include "outbox-relay/signer.h"
#include "outbox-relay/stats.h"
#include "outbox-relay/transport.h"
#include "shared/base/cleanup.h"

struct source;
struct reader;
struct subscription;

/* One event on its way to one subscription. */
struct item {
    struct item *next; /* in its lane */
    const struct event *event;
    struct pending *pending;
    uint64_t number; /* in the order of the stream, over all reads; 0 for a parked event */
    bool settled;
    int crashes;             /* requests with this event that broke or timed out */
    int own_crashes;         /* those since which others got through: the event's own fault */
    uint64_t successes_then; /* subscription.successes at the last of them */
};

/* A read whose events are not all settled: in order in subscription.pending_head. When the first
 * is settled, the stored cursor may move to `after`. */
struct pending {
    struct pending *next;
    struct read_result *read; /* counted; NULL once all items are settled */
    struct item *items;       /* likewise */
    struct cursor after;
    size_t open;     /* items not settled */
    size_t settled;  /* items at the front that are all settled; kept for the first read */
    bool for_parked; /* of READ_PARKED: has no cursor */
};

/* Events whose keys share a hash; one request under way at a time. */
struct lane {
    struct subscription *subscription;
    struct item *head, **tail; /* waiting */
    struct item *sending;      /* of the request under way, or to be sent again; in order */
    size_t sending_count;
    bool in_flight;
    bool for_parked; /* the lane of events that come from outbox.delivery */
    int batch_limit; /* smaller than the subscription's while a refused batch is halved */
    int suspects;    /* events of the refused batch still to be sent in halves */
    int64_t started_us;
    struct transfer *transfer; /* made when first needed */
    struct buffer body;
};

enum breaker { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct subscription {
    struct subscription *next; /* in source.subscriptions */
    struct subscription *next_in_reader;
    struct source *source;
    struct reader *reader; /* NULL: not reading */
    bool seen;             /* while the configuration is loaded */
    bool gone;             /* deleted: waits for its requests to end */
    bool reload;           /* its cursor is to be loaded anew, once no request is in flight */

    char *name, *url, *event_types; /* event_types: separated by newlines */
    int batch_size, max_in_flight, timeout_ms, max_attempts, retry_base_ms, retry_max_ms;
    bool block_on_dead;
    bool active;
    bool allowed;          /* the URL's host is in the allow-list */
    char *generation;      /* as text: it is only sent back */
    struct signer *signer; /* NULL: no valid secret */
    int secret_problem;    /* negative errno of a secret that can't be used; 0: none */

    struct cursor settled; /* as far as all reads are delivered or parked */
    bool cursor_dirty;     /* and that is not stored yet */
    struct pending *pending_head, *pending_last;
    struct pending *parked_pending; /* those of READ_PARKED, in no order */
    size_t pending_count;
    uint64_t last_number, highest_settled; /* of items */
    size_t queued_bytes;                   /* of reads that are held, but those of parked events */

    struct lane *lanes;   /* max_in_flight, and one more for parked events */
    int lane_count;       /* with that */
    int wanted_in_flight; /* other than max_in_flight: wait for idle lanes, then resize */
    int in_flight;
    size_t sending_bytes; /* of the bodies in flight */
    int writes;           /* under way, with items that are settled when they are done */
    int next_probe;       /* lane to begin the next probe with */

    enum breaker breaker;
    int failures; /* probes and requests that failed in a row */
    struct timer breaker_timer;
    uint64_t successes; /* requests that got through, ever */

    struct keyset parked;
    struct item *blocking, **blocking_tail; /* to be written as blocked */
    size_t blocking_count;
    bool blocking_in_flight;
    struct timer retry_timer;
    bool retry_loading, retry_due;
    bool unload_due; /* once the parked event that is in flight has its answer */

    /* While reading has stopped: the first event behind `position`, which was settled.position when
     * it was asked for. */
    struct {
        int64_t position, created_us;
    } unread;
    bool full_told; /* that too many keys are parked */

    struct stats *stats; /* shared with the metrics thread */
};

/* Takes what LOAD_SUBSCRIPTIONS gave in one row. NULL: no memory or a malformed row. */
struct subscription *subscription_new(struct source *source, const PGresult *rows, int row);
/* Breaks off its requests and frees it. It must not be in a reader. */
void subscription_free(struct subscription *subscription);
/* Follows a change of the configuration (not of the cursor). Errors: -ENOMEM. */
MUST_CHECK int subscription_configure(
    struct subscription *subscription, const PGresult *rows, int row);
/* Sets the cursor from the row, or sets it back when that is all that is asked for; nothing may be
 * queued. Errors: -EBADMSG, -ENOMEM. */
MUST_CHECK int subscription_set_cursor(
    struct subscription *subscription, const PGresult *rows, int row);
/* Drops what waits in lanes; what is in flight must have ended. */
void subscription_drop_queue(struct subscription *subscription);

bool subscription_wants(const struct subscription *subscription, struct text event_type);
/* Whether it may take another read of up to `bytes`. */
bool subscription_has_room(const struct subscription *subscription, size_t bytes);
/* Whether another request may be in flight: large ones of all lanes at once would fill the memory.
 * Each subscription has its share, so that a slow endpoint slows no other. */
bool subscription_may_send_more(const struct subscription *subscription);

/* Queues the matching events of a read and starts what can be started. Errors: -ENOMEM. */
MUST_CHECK int subscription_take(
    struct subscription *subscription, struct read_result *read, const struct cursor *after);
/* How far all is settled, also in the middle of a read. `ret_cursor` must be empty; the caller
 * releases it. */
void subscription_progress(const struct subscription *subscription, struct cursor *ret_cursor);

/* Queues what READ_PARKED gave. Errors: -ENOMEM. */
MUST_CHECK int subscription_take_parked(
    struct subscription *subscription, struct read_result *read);
/* The item is delivered or parked for good. The item is gone with it. */
void subscription_settle(struct subscription *subscription, struct item *item);

#endif
