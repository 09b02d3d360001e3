/* What all parts of the engine share: the records of a source and of a subscription, and the few
 * functions that only touch them. It calls nothing of the engine; every other part calls it. */
#ifndef RELAY_CORE_H
#define RELAY_CORE_H

#include "outbox-relay/base/buffer.h"
#include "outbox-relay/base/loop.h"
#include "outbox-relay/engine/cursor.h"
#include "outbox-relay/engine/keyset.h"
#include "outbox-relay/engine/metrics.h"
#include "outbox-relay/engine/settings.h"
#include "outbox-relay/event/read_result.h"
#include "outbox-relay/http/transport.h"
#include "outbox-relay/postgres/pg.h"

struct source;
struct reader;
struct subscription;
struct webhook_signer;

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
    bool for_parked;           /* the lane of events that come from outbox.delivery */
    int batch_limit;           /* smaller than the subscription's while a refused batch is halved */
    int suspects;              /* events of the refused batch still to be sent in halves */
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
    bool allowed;                  /* the URL's host is in the allow-list */
    char *generation;              /* as text: it is only sent back */
    struct webhook_signer *signer; /* NULL: no valid secret */
    int secret_problem;            /* negative errno of a secret that can't be used; 0: none */

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

    struct subscription_metrics *metrics; /* shared with the metrics page */
};

enum source_state {
    SOURCE_CONNECTING,
    SOURCE_STANDBY, /* another relay holds the lease */
    SOURCE_LOADING, /* elected: the configuration is read */
    SOURCE_ACTIVE,
    SOURCE_STOPPING, /* what is in flight may end */
    SOURCE_STOPPED,
};

/* Whether emitters have to wake the relay. See wake.h. */
enum wake_state {
    WAKE_AWAKE,
    WAKE_LOCKING, /* the sleep lock is asked for */
    WAKE_FINAL,   /* it is held; one more read before the sleep */
    WAKE_ASLEEP,
};

struct tick;

struct wake {
    enum wake_state state;
    int idle_reads;   /* in a row */
    int refusals;     /* of the sleep lock, in a row */
    int pace;         /* reads in a row that brought a few events, counted up to a limit */
    bool tick_locked; /* the tick under way began with the lock held */
    struct timer timer;
};

/* What the parts tell the source's owner, who decides what follows. */
struct source_events {
    void (*standby)(struct source *source); /* another relay holds the lease */
    void (*elected)(struct source *source);
    void (*work_opened)(struct source *source); /* the working connection */
    void (*loaded)(struct source *source);      /* the configuration */
};

struct source {
    const struct source_events *events;
    char *name, *conninfo, *source_json;
    const struct relay_settings *settings;
    bool polling; /* wake=poll */
    pthread_t thread;
    _Atomic bool stop_wanted;

    struct loop *loop;
    struct transport *transport;
    enum source_state state;
    char *failure; /* what ended the current attempt; handled in the next turn */
    char *told;    /* the failure in the log since it worked last */
    int64_t told_us;
    char refusal[400]; /* what the server said when it refused a statement last */
    int failures;      /* in a row, for the backoff */
    struct timer reconnect_timer, stop_timer;
    uint64_t random;

    struct pg *session, *work; /* session is NULL when polling */
    char *session_setup[2];    /* NULL-ended */
    char holder[128];
    struct timer lease_timer; /* next try of a standby, next sign of life of the active one */
    bool lock_held;           /* the lease's lock */
    int64_t epoch;            /* 0: not elected */
    int64_t beat_sent_us, lease_until_us;
    char epoch_text[24];

    struct wake wake;
    struct subscription *subscriptions;
    struct reader *readers;
    size_t reader_count;
    struct tick *tick; /* the read under way, NULL when none */
    struct marks marks;
    int64_t last_id;      /* newest id drawn, as far as known */
    bool kick;            /* lanes may have something to start */
    bool read_wanted;     /* there may be new events: all readers are due */
    size_t sending_bytes; /* of the bodies in flight, of all subscriptions */
    bool resigning, resigned;
    bool stop_overdue; /* requests are broken off; what is known is written, the lease given back */
    bool given_up;     /* and that takes too long, too */

    struct timer cursor_timer, maintain_timer, secret_timer, config_timer, count_timer, watch_timer;
    bool cursors_in_flight, maintaining;
    int64_t maintained_id; /* newest id when outbox.maintain() was called last */
    int64_t maintained_us; /* when it was called whatever the newest id */
    bool reload_wanted, reload_in_flight;
    struct loaded *loading;

    struct source_metrics metrics;
};

/* Gives up the lease and begins anew, in the next turn. The first reason counts. */
void source_fail(struct source *source, const char *reason);
void source_write_failed(struct source *source, const char *sqlstate);
/* Begins a unit of the working connection that only the active relay may write. */
void source_fence(struct source *source);
/* Something may have become possible: look at all lanes in the next turn. */
void source_wants_turn(struct source *source);
/* There may be new events: reads in the next turn. */
void source_wants_read(struct source *source);
/* The configuration has changed, or may have: it is loaded anew in the next turn. */
void source_wants_reload(struct source *source);
/* Whether requests may be started: active, and the lease is certainly still held. */
bool source_may_send(const struct source *source);
bool source_allows(const struct source *source, const char *url);
/* For jitter, not for secrets. */
uint64_t source_random(struct source *source);
/* Bytes of memory that each reader's subscriptions may hold. */
size_t source_buffer_share(const struct source *source);

#endif
