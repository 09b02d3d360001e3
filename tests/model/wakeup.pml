/* The wake-up: NOTIFY only when the relay sleeps (docs/mechanisms/wake-up.md).
 *
 * Two emitters each run transactions that emit one event; the relay reads, delivers, and sleeps by
 * holding an exclusive session advisory lock that `outbox.emit` tries to share. The relay's session
 * may be lost at any point (bounded by LOSSES): the server then frees its lock and its LISTEN.
 * Claim: every committed event is delivered, with no timer and no safety poll in the model.
 *
 * Mutants (-DMUTANT=n) are the mistakes the mechanism guards against; each must fail:
 *   1  no read between taking the lock and waiting
 *   2  the emitter's share ends before its commit is visible
 *   3  LISTEN only after the last read
 *   4  emit sends no NOTIFY when it is refused
 *   5  the relay waits without the lock
 *   6  a read that began before the lock was got counts as the last one
 */
#ifndef MUTANT
#define MUTANT 0
#endif
#define EMITTERS 2
#define TRANSACTIONS 2
#define LOSSES 1

byte committed;  /* events of committed transactions: what a snapshot sees */
byte delivered;  /* events the relay has read and settled */
byte emitted;    /* transactions ended, by commit or rollback */
byte shared;     /* transactions that hold the wake lock in share mode */
bool exclusive;  /* the relay's session holds it */
bool listening;  /* the relay's session has executed LISTEN */
bool notified;   /* a notification is on its way to that session */
bool lost;       /* the relay's session is gone; it will find out at its next step */

active [EMITTERS] proctype emitter()
{
    byte left = TRANSACTIONS;
    bool sharing, refused, commits;

    do
    :: left == 0 -> break
    :: else ->
        sharing = false;
        refused = false;
        /* outbox.emit: pg_try_advisory_xact_lock_shared */
        atomic {
            if
            :: exclusive -> refused = true
            :: else -> shared++; sharing = true
            fi
        }
        if
        :: commits = true
        :: commits = false
        fi;
#if MUTANT == 2
        atomic { if :: sharing -> shared--; sharing = false :: else fi }
#endif
        /* The commit makes the row visible first, then frees locks, then signals listeners. */
        if
        :: commits -> committed++
        :: else
        fi;
        atomic { if :: sharing -> shared-- :: else fi }
#if MUTANT != 4
        atomic { if :: commits && refused && listening -> notified = true :: else fi }
#endif
        emitted++;
        left--
    od
}

/* What a read under the snapshot `seen` found is delivered. */
inline deliver()
{
    found = (seen != delivered);
    delivered = seen;
    seen = 0 /* fewer states */
}

inline read_and_deliver()
{
    atomic { seen = committed; deliver() }
}

/* The server may end the session, LOSSES times at most: its lock, its LISTEN and the notifications
 * under way are gone. It need not: the model must not rely on a loss to wake the relay. */
active proctype network()
{
    byte left = LOSSES;

    do
    :: atomic {
        left > 0 && !lost ->
        left--;
        lost = true;
        exclusive = false;
        listening = false;
        notified = false
    }
    :: true -> break
    od
}

hidden byte tick;

/* Time goes on when nothing else does, so that fairness also judges a system at rest. */
active proctype clock()
{
    do
    :: tick = 1 - tick
    od
}

active proctype relay()
{
    byte seen;
    bool found, early;

connect:
    lost = false;
#if MUTANT != 3
    atomic { if :: lost -> goto connect :: else -> listening = true fi };
#endif
scan:
    if
    :: lost -> goto connect
    :: else
    fi;
    read_and_deliver();
    if
    :: found -> goto scan
    :: else
    fi;
fall_asleep:
    /* A read for another reason may be under way while the lock is asked for. */
    if
    :: atomic { seen = committed; early = true }
    :: early = false
    fi;
#if MUTANT != 5
    atomic {
        if
        :: lost -> goto connect
        :: !lost && shared == 0 -> exclusive = true
        :: !lost && shared > 0 -> early = false; seen = 0; goto scan /* an emitter is in flight: poll again soon */
        fi
    }
#endif
    atomic {
        if
        :: early ->
            early = false;
            deliver();
            if
            :: found -> exclusive = false; goto scan
#if MUTANT == 6
            :: else -> goto wait
#else
            :: else
#endif
            fi
        :: else
        fi
    };
#if MUTANT != 1
    read_and_deliver();
    atomic { if :: found -> exclusive = false; goto scan :: else fi };
#endif
#if MUTANT == 3
    atomic { if :: lost -> goto connect :: else -> listening = true fi };
#endif
wait:
    atomic {
        if
        :: lost -> goto connect
        :: notified -> notified = false; exclusive = false; goto scan
        fi
    }
}

ltl no_event_waits { <>[] (emitted == EMITTERS * TRANSACTIONS && delivered == committed) }
