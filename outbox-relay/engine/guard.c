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

static void on_sequence(void *context, PGresult *take_result)
{
    AUTO_RESULT PGresult *result = take_result;
    struct source *source = context;
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
        source->guard.sequence_file = (uint32_t)strtoul(PQgetvalue(result, 0, 0), NULL, 10);
}

static void ask(struct source *source)
{
    /* First: should it begin anew later on, a read will find another file. */
    pg_send(source->guard.pg, &FIND_SEQUENCE, NULL, on_sequence, source);
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

void guard_read(struct source *source, int64_t newest_id, uint32_t sequence_file, int64_t position)
{
    char problem[200];
    if (sequence_file != source->guard.sequence_file) {
        source_fail(source, "outbox.event_id_seq was restarted or replaced");
        return; /* the next check finds what that means */
    }
    if (newest_id >= position && newest_id >= source->last_id)
        return;
    snprintf(problem, sizeof(problem),
        "outbox.event_id_seq is at %" PRId64 ", but %" PRId64
        " was in use already: event ids have begun anew",
        newest_id, position > source->last_id ? position : source->last_id);
    stop(source, problem, "outbox-relay repair");
}
