/* One publishing database: its thread, its loop, its connections, its subscriptions.
 *
 * States: CONNECTING -> STANDBY -> LOADING -> ACTIVE -> STOPPING; anything that goes wrong leads
 * back to CONNECTING with all in memory dropped, as the database knows everything. One function
 * changes the state, see source.c. */
#ifndef RELAY_SOURCE_H
#define RELAY_SOURCE_H

#include "outbox-relay/cursor.h"
#include "outbox-relay/loop.h"
#include "outbox-relay/pg.h"
#include "outbox-relay/settings.h"
#include "outbox-relay/subscription.h"
#include "outbox-relay/transport.h"
#include "shared/base/cleanup.h"

#include <pthread.h>

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
struct reader;

struct wake {
    enum wake_state state;
    int idle_reads;   /* in a row */
    int refusals;     /* of the sleep lock, in a row */
    int pace;         /* reads in a row that brought a few events, counted up to a limit */
    bool tick_locked; /* the tick under way began with the lock held */
    struct timer timer;
};

struct source {
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
    struct tick *tick; /* the read under way, NULL when none */
    struct marks marks;
    int64_t last_id;      /* newest id drawn, as far as known */
    bool kick;            /* lanes may have something to start */
    size_t sending_bytes; /* of the bodies in flight, of all subscriptions */
    bool resigning, resigned;
    bool stop_overdue; /* requests are broken off; what is known is written, the lease given back */
    bool given_up;     /* and that takes too long, too */

    struct timer cursor_timer, maintain_timer, secret_timer, config_timer, count_timer, watch_timer;
    bool cursors_in_flight, maintaining;
    int64_t maintained_id; /* newest id when outbox.maintain() was called last */
    int64_t maintained_us; /* when it was called whatever the newest id */
    bool reload_wanted, reload_in_flight;
    struct configuration *loading;

    struct source_stats stats;
    struct {
        uint64_t wakes_notify, wakes_poll, reads, events_read, elections, reconnects;
    } reported;                     /* by the metrics page so far */
    struct stats_entry *stats_list; /* outlives subscriptions; guarded by stats_lock */
    pthread_mutex_t stats_lock;
};

struct stats_entry {
    struct stats_entry *next;
    char *subscription;
    bool current; /* the subscription exists and this relay is active for it */
    struct stats stats;
    struct {
        uint64_t delivered, attempts[ATTEMPT_OUTCOMES], latency[STATS_BUCKETS], latency_sum_us;
    } reported; /* by the metrics page so far */
};

/* Copies `name` and `conninfo`, borrows `settings`. Errors: -ENOMEM or what loop_new gave. */
MUST_CHECK int source_new(const char *name, const char *conninfo,
    const struct relay_settings *settings, struct source **ret_source);
/* Starts the thread. Errors: -EAGAIN. */
MUST_CHECK int source_start(struct source *source);
/* Asks it to stop; returns at once. */
void source_stop(struct source *source);
/* Waits for its end, when it was started, and frees all. */
void source_join(struct source *source, bool started);
const char *source_state_name(enum source_state state);

/* What the parts of the engine tell each other --------------------------------------------------
 */

/* Gives up the lease and begins anew, in the next turn. The first reason counts. */
void source_fail(struct source *source, const char *reason);
void source_write_failed(struct source *source, const char *sqlstate);
void source_standby(struct source *source); /* another holds the lease */
void source_elected(struct source *source);
void source_work_opened(struct source *source);
/* Something may have become possible: look at all lanes in the next turn. */
void source_wants_turn(struct source *source);
void source_cursor_moved(struct source *source);
/* The result of TAKE_MARK or WRITE_MARK; `context` is the source. */
void source_on_mark(void *context, PGresult *take_result);
/* The configuration has changed, or may have. */
void source_reload(struct source *source);
/* Whether requests may be started: active, and the lease is certainly still held. */
bool source_may_send(const struct source *source);
bool source_allows(const struct source *source, const char *url);
/* Bytes of memory that each reader's subscriptions may hold. */
size_t source_buffer_share(const struct source *source);
/* What configuration_load() began is done. */
void source_loaded(struct source *source);

#endif
