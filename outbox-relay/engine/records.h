/* The records that the engine's modules share: a source, its subscriptions, and the events on their
 * way. `struct source` and `struct subscription` have a part for each module, which is named as the
 * module and changed by it alone; others at most read it. */
#ifndef RELAY_RECORDS_H
#define RELAY_RECORDS_H

#include "outbox-relay/base/buffer.h"
#include "outbox-relay/base/loop.h"
#include "outbox-relay/engine/cursor.h"
#include "outbox-relay/engine/keyset.h"
#include "outbox-relay/engine/metrics.h"
#include "outbox-relay/event/read_result.h"

struct webhook_signer;
struct source;
struct subscription;
struct transfer;

/* Events on their way ----------------------------------------------------------------------------
 */

/* One event on its way to one subscription. */
struct item {
    struct item *next; /* in its lane */
    const struct event *event;
    struct pending *pending;
    uint64_t number; /* in the order of the stream, over all reads; 0 for a parked event */
    bool settled;
    int crashes;             /* requests with this event that broke or timed out */
    int own_crashes;         /* those since which others got through: the event's own fault */
    uint64_t successes_then; /* answer.successes at the last of them */
};

/* A read whose events are not all settled. When those of the first one in the queue are, the stored
 * cursor may move to `after`. */
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

/* A subscription ---------------------------------------------------------------------------------
 */

/* What outbox.subscription says of it. */
struct subscription_row {
    char *url, *event_types; /* event_types: separated by newlines */
    int batch_size, max_in_flight, timeout_ms, max_attempts, retry_base_ms, retry_max_ms;
    bool block_on_dead;
    char *generation; /* as text: it is only sent back */
};

enum subscription_state { SUBSCRIPTION_ACTIVE, SUBSCRIPTION_PAUSED, SUBSCRIPTION_DISABLED };

/* Where the relay's copy of a subscription is in its life. */
enum subscription_phase {
    PHASE_CURRENT,
    PHASE_OUTDATED, /* its cursor was moved: it is loaded anew once nothing is under way */
    PHASE_DELETED,  /* it is freed once nothing is under way */
};

struct backlog {
    struct pending *head, *last;           /* reads, in order */
    struct pending *parked;                /* those of READ_PARKED, in no order */
    size_t count;                          /* of `head` */
    size_t bytes;                          /* of the reads that `head` holds */
    uint64_t last_number, highest_settled; /* of items */
};

struct lanes {
    struct lane *list;
    int count; /* for max_in_flight requests, and one more for parked events */
    int in_flight;
    size_t sending_bytes; /* of the bodies in flight */
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker {
    enum breaker_state state;
    int failures; /* probes and requests that failed in a row */
    struct timer timer;
};

struct parking {
    struct item *blocked, **blocked_tail; /* to be written as blocked */
    bool blocked_in_flight;
    bool full_told; /* that too many keys are parked */
};

struct parked_retry {
    bool due, loading;
    bool unload_due;    /* once the parked event that is in flight has its answer */
    struct timer timer; /* when the next one is due */
};

struct subscription {
    struct subscription *next; /* in source.subscriptions */
    struct source *source;
    char *name;
    struct subscription_row row;
    enum subscription_state state;
    enum subscription_phase phase;
    bool allowed; /* the URL's host is in the allow-list */
    struct {
        struct webhook_signer *signer; /* NULL: no valid secret */
        int problem;                   /* negative errno of one that can't be used; 0: none */
    } signing;
    int writes;            /* under way, with items that are settled when they are done */
    struct cursor settled; /* as far as all reads are delivered or parked */
    bool cursor_moved;     /* since it was stored */
    struct keyset parked;  /* keys that are held back */

    struct backlog backlog;
    struct lanes lanes; /* lane_queue.c */
    struct breaker breaker;
    struct parking parking;
    struct parked_retry parked_retry;
    struct {
        struct reader *reader; /* NULL: not reading */
        struct subscription *next;
    } reading; /* reader.c */
    struct {
        uint64_t successes; /* requests that got through, ever */
        int next_probe;     /* lane to begin the next probe with */
    } answer;
    /* While reading has stopped: the first event behind `position`, which was settled.position when
     * it was asked for. */
    struct {
        int64_t position, created_us;
    } lag;
    struct {
        bool seen; /* in the rows that are being applied */
    } reload;
    struct subscription_metrics *metrics; /* shared with the metrics page */
};

/* A source ---------------------------------------------------------------------------------------
 */

enum source_state {
    SOURCE_CONNECTING,
    SOURCE_STANDBY, /* another relay holds the lease */
    SOURCE_LOADING, /* elected: the subscriptions are read */
    SOURCE_ACTIVE,
    SOURCE_STOPPING, /* what is in flight may end */
    SOURCE_STOPPED,
};

/* What the parts tell the source's owner, who decides what follows. */
struct source_events {
    void (*standby)(struct source *source); /* another relay holds the lease */
    void (*elected)(struct source *source);
    void (*work_opened)(struct source *source); /* the working connection */
    void (*loaded)(struct source *source);      /* the subscriptions */
};

/* What the next turn of the loop has to do. */
struct wants {
    bool kick;   /* lanes may have something to start */
    bool read;   /* there may be new events: all readers are due */
    bool reload; /* the subscriptions have changed, or may have */
};

/* Failures of units that stop nothing, told in the log from time to time. */
#define TOLD_UNITS 8
struct told_unit {
    const char *unit; /* a literal */
    int64_t at_us;
};

struct failure {
    char *reason;      /* what ended the current attempt; handled in the next turn */
    char sqlstate[6];  /* of the error of the server that did; "": not known, or none */
    char refusal[400]; /* what the server said when it refused a statement last */
    int count;         /* in a row, for the backoff */
};

/* Whether emitters have to wake the relay. */
enum wake_state {
    WAKE_AWAKE,
    WAKE_LOCKING, /* the sleep lock is asked for */
    WAKE_FINAL,   /* it is held; one more read before the sleep */
    WAKE_ASLEEP,
};

struct wake {
    enum wake_state state;
    int idle_reads;   /* in a row */
    int refusals;     /* of the sleep lock, in a row: an emitter was in flight */
    int failures;     /* to ask for it, in a row: the server had an error */
    int pace;         /* reads in a row that brought a few events, counted up to a limit */
    bool tick_locked; /* the tick under way began with the lock held */
    struct timer timer;
};

struct readers {
    struct reader *list;
    size_t count;
};

struct lease {
    char holder[128];
    char *idle_limit;             /* SQL */
    const char *session_setup[4]; /* NULL-ended */
    bool lock_held;
    char lock_pid[12]; /* of the server's process that holds it */
    bool proved;       /* the working connection sees that it does */
    int64_t beat_sent_us;
    struct timer timer; /* next try of a standby, next sign of life of the active one */
};

/* Whether notifications reach the session. */
struct channel {
    bool sent; /* the notification, and not heard yet */
    bool proved;
    int failures;       /* in a row */
    struct timer timer; /* until it must have been heard, or is sent again */
};

struct guard {
    struct pg *pg; /* borrowed: the connection that is asked */
    void (*passed)(struct source *source);
    PGresult *rows;         /* of the answer that is coming in */
    uint32_t sequence_file; /* of outbox.event_id_seq: changes when it begins anew */
};

struct maintenance {
    bool under_way;
    int64_t newest_id; /* when outbox.maintain() was called last */
    int64_t anyway_us; /* when it was called whatever the newest id */
    struct timer timer;
};

struct reload {
    bool in_flight;
    struct loaded *loaded; /* the results so far */
    struct timer secret_timer, poll_timer;
};

struct reconnect {
    char *told; /* the failure in the log since it worked last */
    int64_t told_us;
    struct timer timer;
};

struct shutdown {
    bool overdue;  /* requests are broken off; what is known is written, the lease given back */
    bool given_up; /* and that takes too long, too */
    bool resigning, resigned;
    struct timer timer;
};

struct source {
    /* Made once. */
    char *name, *conninfo, *source_json;
    const struct relay_settings *settings;
    const struct source_events *events;
    bool polling; /* wake=poll */
    struct loop *loop;
    struct transport *transport;
    struct pg *session, *work; /* session is NULL when polling */

    enum source_state state;
    struct failure failure;
    struct told_unit told_units[TOLD_UNITS];
    struct wants wants;
    int64_t epoch; /* 0: not elected */
    char epoch_text[24];
    int64_t lease_until_us; /* as far as that is certain */
    int64_t last_id;        /* newest id drawn, as far as known */
    struct marks marks;
    uint64_t random;
    size_t sending_bytes; /* of the bodies in flight, of all subscriptions */
    struct subscription *subscriptions;

    struct {
        bool in_flight;
        struct timer timer;
    } cursor_store;
    struct {
        struct timer timer;
    } parked_count, lag;
    struct wake wake;
    struct readers readers; /* reader.c */
    struct tick *tick;      /* the read under way, NULL when none */
    struct reload reload;
    struct maintenance maintenance;
    struct lease lease;
    struct guard guard;
    struct channel channel;
    struct reconnect reconnect;
    struct shutdown shutdown;
    struct {
        pthread_t thread;
        _Atomic bool stop_wanted;
    } life; /* source.c */
    struct source_metrics metrics;
};

#endif
