/* The lease: one active relay per source, with a fencing epoch (docs/mechanisms/lease.md).
 *
 * Two relays compete for a session advisory lock. The server may end the leader's session at any
 * point while the process lives on and believes it leads: stopped by SIGSTOP, or cut off by the
 * network; a process that is stopped is one that takes no step, which interleaving covers. An election
 * raises the epoch and only then reads the cursor; each write carries the epoch of its relay.
 * Claims: a write takes effect only from the relay of the newest election; the cursor never goes
 * back; while no session is lost, at most one relay leads; some relay comes to lead.
 *
 * Mutants (-DMUTANT=n), each must fail:
 *   1  writes are not fenced by the epoch
 *   2  the cursor is read before the epoch is raised
 *   3  the election does not raise the epoch
 */
#ifndef MUTANT
#define MUTANT 0
#endif
#define RELAYS 2
#define LOSSES 3
#define LAST 3 /* events to deliver: the cursor's highest value */
#define NOBODY 255

byte holder = NOBODY; /* whose session holds the advisory lock, as the server sees it */
byte epoch;           /* outbox.lease.epoch */
byte newest = NOBODY; /* the relay of the newest election; for the claim only */
byte cursor;          /* outbox.subscription: position */
byte losses;

proctype relay(byte me)
{
    byte my_epoch, my_position;

standby:
    if
    :: atomic { holder == NOBODY -> holder = me }
    :: cursor == LAST -> goto done
    fi;
    /* The election is a statement of its own: the session may be lost before or after it. */
#if MUTANT == 2
    my_position = cursor;
#endif
    atomic {
        if
        :: holder != me -> goto standby
        :: else
        fi;
#if MUTANT != 3
        epoch++;
#endif
        my_epoch = epoch;
        newest = me
    }
#if MUTANT != 2
    my_position = cursor;
#endif
    do
    :: my_position < LAST ->
        my_position++; /* read, delivered over HTTP */
        /* The fenced write: one statement that checks the epoch and moves the cursor. */
        atomic {
            if
#if MUTANT == 1
            :: true ->
#else
            :: epoch == my_epoch ->
#endif
                assert(newest == me);
                assert(my_position >= cursor);
                cursor = my_position
#if MUTANT != 1
            :: else -> goto standby /* stale: stop leading, drop what is in flight */
#endif
            fi
        }
    :: my_position == LAST -> break
    od;
    atomic { if :: holder == me -> holder = NOBODY :: else fi }
done:
    skip
}

/* The server ends the session of whoever holds the lock; the process is not told. */
proctype network()
{
    do
    :: atomic { losses < LOSSES && holder != NOBODY -> losses++; holder = NOBODY }
    :: losses == LOSSES || cursor == LAST -> break
    od
}

init { atomic { run relay(0); run relay(1); run network() } }

ltl delivery_goes_on { <>[] (cursor == LAST) }
