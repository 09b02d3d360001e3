/* See guard.h. */
#include "outbox-relay/engine/guard.h"
#include "outbox-relay/engine/statements.h"
#include "shared/base/log.h"
#include "shared/db/result.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum column { CODE, STOPS, PROBLEM, COMMAND };

static void ask(struct source *source);

static void on_adopted(void *context, const char *sqlstate)
{
    struct source *source = context;
    if (sqlstate) {
        source_unit_failed(source, sqlstate);
        return;
    }
    ask(source); /* there may be more that is wrong */
}

static void adopt(struct source *source, const char *problem)
{
    log_warn("the outbox is adopted", LOG_TEXT("source", source->name), LOG_TEXT("found", problem),
        LOG_TEXT("by", "OUTBOX_RELAY_ADOPT=moved"));
    pg_send(source->guard.pg, &ADOPT_MOVED, NULL, NULL, NULL);
    pg_commit(source->guard.pg, on_adopted, source);
}

static void stop(struct source *source, const char *problem, const char *command)
{
    char reason[600];
    snprintf(reason, sizeof(reason), "%s (%s)", problem, command);
    source_fail(source, reason);
}

static void judge_rows(struct source *source, const PGresult *rows)
{
    bool adopts = strcmp(source->settings->adopt, "moved") == 0;
    for (int row = 0; row < PQntuples(rows); row++) {
        const char *problem = PQgetvalue(rows, row, PROBLEM);
        if (adopts && strcmp(PQgetvalue(rows, row, CODE), "other_database") == 0) {
            adopt(source, problem);
            return;
        }
        if (*PQgetvalue(rows, row, STOPS) == 't') {
            stop(source, problem, PQgetvalue(rows, row, COMMAND));
            return;
        }
        log_warn(problem, LOG_TEXT("source", source->name),
            LOG_TEXT("command", PQgetvalue(rows, row, COMMAND)));
    }
    source->guard.passed(source);
}

static void on_rows(void *context, PGresult *take_result)
{
    struct source *source = context;
    PQclear(source->guard.rows);
    source->guard.rows = take_result;
}

static void on_answer(void *context, const char *sqlstate)
{
    struct source *source = context;
    AUTO_RESULT PGresult *rows = source->guard.rows;
    source->guard.rows = NULL;
    if (sqlstate || PQresultStatus(rows) != PGRES_TUPLES_OK)
        source_unit_failed(source, sqlstate ? sqlstate : "XX000");
    else
        judge_rows(source, rows);
}

static void ask(struct source *source)
{
    pg_send(source->guard.pg, &GUARD, NULL, on_rows, source);
    pg_commit(source->guard.pg, on_answer, source);
}

void guard_check(struct source *source, struct pg *pg, void (*passed)(struct source *source))
{
    source->guard.pg = pg;
    source->guard.passed = passed;
    ask(source);
}

void guard_stop(struct source *source)
{
    PQclear(source->guard.rows);
    source->guard.rows = NULL;
}

void guard_newest_id(struct source *source, int64_t newest_id, int64_t position)
{
    char problem[200];
    if (newest_id >= position && newest_id >= source->last_id)
        return;
    snprintf(problem, sizeof(problem),
        "outbox.event_id_seq is at %" PRId64 ", but %" PRId64
        " was in use already: event ids have begun anew",
        newest_id, position > source->last_id ? position : source->last_id);
    stop(source, problem, "outbox-relay repair");
}
