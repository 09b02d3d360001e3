/* Waits for the server's answer no longer than a deadline. The server ends a statement that takes
 * too long by itself (statement_timeout); this is for the server that does not: stopped, or on a
 * machine whose kernel still acknowledges what nobody reads. */
#include "shared/base/clock.h"
#include "shared/db/db_internal.h"

#include <errno.h>
#include <poll.h>

/* Waits until a result, or the end of results, can be had without blocking. Returns 0, or -ETIME. A
 * lost connection counts as a result: libpq makes one of it. */
static int await_input(PGconn *connection, int64_t deadline_ms)
{
    while (PQisBusy(connection)) {
        struct pollfd event = {.fd = PQsocket(connection), .events = POLLIN};
        int64_t left_ms = deadline_ms - clock_ms();
        if (deadline_ms > 0 && left_ms <= 0)
            return -ETIME;
        int ready = poll(&event, 1, deadline_ms > 0 ? (int)left_ms : -1);
        if (ready < 0 && errno != EINTR)
            return -ETIME;
        if (ready > 0 && !PQconsumeInput(connection))
            return 0;
    }
    return 0;
}

static bool is_error(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE;
}

PGresult *db_await(struct db *db, int sent)
{
    int64_t deadline_ms = db->answer_timeout_ms > 0 ? clock_ms() + db->answer_timeout_ms : 0;
    PGresult *last = NULL;
    if (!sent)
        return NULL;
    for (;;) {
        if (await_input(db->connection, deadline_ms) < 0) {
            db->discard = true;
            db->timed_out = true;
            PQclear(last);
            return NULL;
        }
        PGresult *next = PQgetResult(db->connection);
        if (!next)
            return last;
        if (last && is_error(last)) {
            PQclear(next);
            continue;
        }
        PQclear(last);
        last = next;
    }
}
