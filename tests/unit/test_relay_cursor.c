/* The cursor against a model of PostgreSQL's transactions: random begins, ids, commits, rollbacks,
 * snapshots, marks, cut reads and restarts. Whatever the order, every committed event is read, and
 * read once unless a restart went back. */
#include "outbox-relay/base/backoff.h"
#include "outbox-relay/engine/cursor.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MAX_TRANSACTIONS 1200
#define MAX_EVENTS 3000
#define STEPS 2500

enum status { RUNNING, COMMITTED, ABORTED };

static struct world {
    uint64_t random;
    enum status transactions[MAX_TRANSACTIONS + 1]; /* by xid, from 1 */
    uint64_t last_xid, latest_completed;
    uint64_t emitter_of[MAX_EVENTS + 1]; /* by event id, from 1; 0: drawn, row never written */
    int64_t last_id;
    int read[MAX_EVENTS + 1];
    bool again[MAX_EVENTS + 1]; /* a restart went back before it */

    struct cursor cursor, stored;
    struct marks marks;
    int64_t known_id; /* the newest id drawn, as the relay knows it */
} w;

static uint64_t below(uint64_t limit)
{
    return random_next(&w.random) % limit;
}

/* ---- Transactions ---- */

static uint64_t begin(void)
{
    return ++w.last_xid; /* assigned before any id is drawn */
}

static void end(uint64_t xid, enum status status)
{
    w.transactions[xid] = status;
    if (xid > w.latest_completed)
        w.latest_completed = xid;
}

static uint64_t pick_running(void)
{
    for (int tries = 0; tries < 50 && w.last_xid > 0; tries++) {
        /* Mostly young ones, so that a few stay open for very long. */
        uint64_t age = below(below(8) ? 20 : w.last_xid);
        uint64_t xid = age < w.last_xid ? w.last_xid - age : 1;
        if (w.transactions[xid] == RUNNING)
            return xid;
    }
    return 0;
}

/* As PostgreSQL takes it: running transactions at or above xmax are not listed. */
static struct snapshot *take_snapshot(void)
{
    static char text[64 + 21 * MAX_TRANSACTIONS];
    static char running[21 * MAX_TRANSACTIONS];
    uint64_t xmax = w.latest_completed + 1, xmin = xmax;
    size_t length = 0;
    running[0] = '\0';
    for (uint64_t xid = xmax - 1; xid >= 1; xid--)
        if (w.transactions[xid] == RUNNING)
            xmin = xid;
    for (uint64_t xid = xmin; xid < xmax; xid++)
        if (w.transactions[xid] == RUNNING)
            length += (size_t)sprintf(running + length, "%s%" PRIu64, length ? "," : "", xid);
    sprintf(text, "%" PRIu64 ":%" PRIu64 ":%s", xmin, xmax, running);
    struct snapshot *snapshot = snapshot_parse(text);
    assert_non_null(snapshot);
    return snapshot;
}

static bool listed(const struct snapshot *snapshot, uint64_t xid)
{
    for (const char *c = snapshot->running + 1; *c && *c != '}';) {
        char *next;
        if (strtoull(c, &next, 10) == xid)
            return true;
        c = *next == ',' ? next + 1 : next;
    }
    return false;
}

static bool visible(const struct snapshot *snapshot, uint64_t xid)
{
    return xid < snapshot->xmin || (xid < snapshot->xmax && !listed(snapshot, xid));
}

/* Whether a row with this id is there for a statement run now. */
static bool row_exists(int64_t id)
{
    return w.emitter_of[id] && w.transactions[w.emitter_of[id]] == COMMITTED;
}

/* ---- The relay: READ_LATE and READ_NEW in C ---- */

static bool is_late(const struct cursor *c, int64_t id)
{
    uint64_t xid = w.emitter_of[id];
    if (id <= c->late_position || (c->late_snapshot && !visible(c->late_snapshot, xid)))
        return false;
    if (id > c->floor)
        return id <= c->position && !visible(c->snapshot, xid);
    return id > c->deep_floor && listed(c->snapshot, xid);
}

static void take(int64_t id)
{
    w.read[id]++;
    if (w.read[id] > 1)
        assert_true(w.again[id]);
}

/* Reads up to `limit` late and `limit` new rows, as tick.c does, or stops after `stop` of them as
 * if the rest had not been settled, which the cursor must be able to express. */
static void read_once(size_t limit, size_t stop)
{
    struct cursor before = {0};
    struct snapshot *snapshot = take_snapshot();
    int64_t known_id = w.last_id;
    size_t late = 0, fresh = 0, taken = 0;
    int64_t last_late = 0, position = w.cursor.position, last_taken = 0;
    bool was_late = w.cursor.late_snapshot != NULL;
    cursor_copy(&before, &w.cursor);
    if (cursor_needs_late(&w.cursor) || was_late) {
        for (int64_t id = w.cursor.deep_floor + 1; id <= w.cursor.position && late < limit; id++) {
            if (!row_exists(id) || !is_late(&w.cursor, id))
                continue;
            late++;
            last_late = id;
            if (taken < stop) {
                take(id);
                taken++;
                last_taken = id;
            }
        }
    }
    bool cut = late == limit;
    for (int64_t id = position + 1; !was_late && !cut && id <= w.last_id && fresh < limit; id++) {
        if (!row_exists(id))
            continue;
        fresh++;
        position = id;
        if (taken < stop) {
            take(id);
            taken++;
            last_taken = id;
        }
    }
    cursor_advance(&w.cursor, position, snapshot, cut ? last_late : 0, &w.marks);
    if (taken < late + fresh) { /* a crash in the middle: as far as it was settled */
        struct cursor partly = {0};
        cursor_copy(&partly, &before);
        if (taken > 0)
            cursor_cut(&partly, &w.cursor, last_taken);
        cursor_release(&w.cursor);
        w.cursor = partly;
    }
    snapshot_unref(snapshot);
    cursor_release(&before);
    w.known_id = known_id;
}

/* An own transaction that begins after ids up to known_id were drawn. */
static void take_mark(void)
{
    uint64_t xid = begin();
    end(xid, COMMITTED);
    marks_add(&w.marks, xid, w.known_id);
}

/* The next relay begins where the cursor was stored. */
static void restart(void)
{
    cursor_copy(&w.cursor, &w.stored);
    for (int64_t id = 1; id <= w.last_id; id++)
        w.again[id] |= w.read[id] > 0;
}

/* ---- Scenario ---- */

static void step(void)
{
    switch (below(16)) {
    case 0:
    case 1:
    case 2:
        if (w.last_xid < MAX_TRANSACTIONS - 1)
            begin();
        break;
    case 3:
    case 4:
    case 5:
    case 6:
    case 7: {
        uint64_t xid = pick_running();
        for (uint64_t count = 1 + below(3); xid && count && w.last_id < MAX_EVENTS; count--)
            w.emitter_of[++w.last_id] = below(20) ? xid : 0;
        break;
    }
    case 8:
    case 9:
    case 10: {
        uint64_t xid = pick_running();
        if (xid)
            end(xid, below(4) ? COMMITTED : ABORTED);
        break;
    }
    case 11:
        if (w.last_xid < MAX_TRANSACTIONS - 1)
            take_mark();
        break;
    case 12:
        cursor_copy(&w.stored, &w.cursor);
        break;
    case 13:
        if (below(20) == 0)
            restart();
        break;
    default:
        read_once(1 + below(below(3) ? 8 : 700), below(6) ? SIZE_MAX : below(6));
    }
}

static void reset(uint64_t seed)
{
    cursor_release(&w.cursor);
    cursor_release(&w.stored);
    memset(&w, 0, sizeof(w));
    w.random = seed;
    w.cursor.snapshot = snapshot_parse("1:1:");
    cursor_copy(&w.stored, &w.cursor);
}

static void everything_committed_is_read_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        reset(seed);
        for (int i = 0; i < STEPS; i++)
            step();
        for (uint64_t xid = 1; xid <= w.last_xid; xid++)
            if (w.transactions[xid] == RUNNING)
                end(xid, below(2) ? COMMITTED : ABORTED);
        for (int i = 0; i < MAX_EVENTS / 500 * 3; i++)
            read_once(500, SIZE_MAX);
        for (int64_t id = 1; id <= w.last_id; id++)
            if ((w.read[id] > 0) != row_exists(id))
                fail_msg("seed %" PRIu64 ": event %" PRId64 " of transaction %" PRIu64
                         " read %d times, committed: %d",
                    seed, id, w.emitter_of[id], w.read[id], row_exists(id));
    }
    reset(0);
    cursor_release(&w.cursor);
    cursor_release(&w.stored);
}

/* ---- The parts alone ---- */

static void snapshots_are_parsed(void **state)
{
    static const char *const BAD[] = {
        "", "1", "1:2", "x:2:", "1:y:", ":2:", "1::", "99999999999999999999999:2:"};
    (void)state;
    struct snapshot *snapshot = snapshot_parse("10:20:11,15");
    assert_non_null(snapshot);
    assert_int_equal(snapshot->xmin, 10);
    assert_int_equal(snapshot->xmax, 20);
    assert_string_equal(snapshot->running, "{11,15}");
    assert_false(snapshot->none_running);
    assert_string_equal(snapshot->text, "10:20:11,15");
    snapshot_unref(snapshot);
    snapshot = snapshot_parse("10:20:");
    assert_non_null(snapshot);
    assert_true(snapshot->none_running);
    assert_string_equal(snapshot->running, "{}");
    snapshot_unref(snapshot);
    for (size_t i = 0; i < ARRAY_SIZE(BAD); i++)
        assert_null(snapshot_parse(BAD[i]));
}

static void marks_stay_bounded_and_in_order(void **state)
{
    struct marks marks = {.count = 0};
    (void)state;
    assert_int_equal(marks_position_below(&marks, 100), 0);
    for (int i = 1; i <= 1000; i++)
        marks_add(&marks, (uint64_t)i * 10, (int64_t)i * 100);
    assert_true(marks.count <= MARKS_MAX);
    assert_int_equal(marks.list[marks.count - 1].position, 100000);
    for (size_t i = 1; i < marks.count; i++)
        assert_true(marks.list[i - 1].xid < marks.list[i].xid);
    /* Never more than what was proved. */
    for (uint64_t xid = 0; xid < 10100; xid += 7)
        assert_true(
            marks_position_below(&marks, xid) <= (int64_t)(xid > 0 ? (xid - 1) / 10 : 0) * 100);
    size_t count = marks.count;
    marks_add(&marks, 5, 100001);     /* older */
    marks_add(&marks, 10001, 99999);  /* back */
    marks_add(&marks, 10002, 100000); /* nothing new */
    assert_int_equal(marks.count, count);
}

static void a_cursor_is_set_back(void **state)
{
    (void)state;
    struct cursor cursor = {.position = 100, .floor = 90, .deep_floor = 80, .late_position = 95};
    cursor.snapshot = snapshot_parse("1:2:");
    cursor.late_snapshot = snapshot_parse("1:3:");
    cursor_set_back(&cursor, 85);
    assert_int_equal(cursor.position, 85);
    assert_int_equal(cursor.floor, 85);
    assert_int_equal(cursor.deep_floor, 80);
    assert_null(cursor.late_snapshot);
    cursor_set_back(&cursor, 1000);
    assert_int_equal(cursor.position, 85);
    cursor_release(&cursor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_committed_is_read_once),
        cmocka_unit_test(snapshots_are_parsed),
        cmocka_unit_test(marks_stay_bounded_and_in_order),
        cmocka_unit_test(a_cursor_is_set_back),
    };
    return cmocka_run_group_tests_name("relay cursor", tests, NULL, NULL);
}
