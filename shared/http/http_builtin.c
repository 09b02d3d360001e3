/* The routes that every program has: /livez, /readyz, /health, /metrics. */
#include "shared/http/http_builtin.h"
#include "shared/base/metrics.h"
#include "shared/db/result.h"
#include "shared/http/http_request.h"

#include <string.h>

/* The process is alive when it can answer at all. */
static int get_livez(struct http_request *request)
{
    return http_reply_json_text(request, 200, "{\"status\":\"OK\"}");
}

static int get_health(struct http_request *request)
{
    return http_reply_json(request, 200,
        json_pack("{s:s, s:s, s:s}", "status", "OK", "program", request->app->settings.program,
            "version", VERSION));
}

/* NULL when the database takes writes, else why not. While requests use the whole pool it is not
 * asked: a probe that waits behind them would time out, and the load go to fewer. */
static const char *database_complaint(struct db_pool *pool)
{
    static const struct db_statement READ_ONLY = {
        "http_ready", "select current_setting('transaction_read_only') = 'on'"};
    struct db *db;
    if (db_pool_busy(pool))
        return NULL;
    if (db_acquire(pool, &db))
        return db_pool_busy(pool) ? NULL : "the database can't be reached";
    AUTO_RESULT PGresult *result = NULL;
    const char *complaint = NULL;
    if (db_query(db, &READ_ONLY, DB_PARAMS(), &result))
        complaint = "the database does not answer";
    else if (db_bool(result, 0, 0))
        complaint = "the database is read-only";
    db_release(db);
    return complaint;
}

static int get_readyz(struct http_request *request)
{
    const struct http_settings *settings = &request->app->settings;
    char reason[256] = "";
    const char *complaint = NULL;
    if (atomic_load(&request->app->stopping))
        complaint = "stopping";
    else if (settings->ready)
        complaint = settings->ready(reason, sizeof reason) ? reason : NULL;
    else if (settings->auth && !settings->auth->ready(settings->auth->context))
        complaint = "no keys to check tokens with yet";
    else if (settings->pool)
        complaint = database_complaint(settings->pool);

    if (complaint)
        return http_problem(request, 503, "unavailable", "%s", complaint);
    return http_reply_json_text(request, 200, "{\"status\":\"OK\"}");
}

static int get_metrics(struct http_request *request)
{
    const char *accept = http_header(request, "Accept");
    bool openmetrics = accept && strstr(accept, "application/openmetrics-text");
    size_t length;
    AUTO_FREE char *text = metrics_render(openmetrics, &length);
    if (!text)
        return http_problem(request, 500, "internal", "out of memory");
    return http_reply(request, 200,
        openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                    : "text/plain; version=0.0.4; charset=utf-8",
        text, length);
}

const struct http_route http_builtin_routes[] = {
    {"GET", "/livez", HTTP_OPEN, get_livez},
    {"GET", "/readyz", HTTP_OPEN, get_readyz},
    {"GET", "/health", HTTP_OPEN, get_health},
    {"GET", "/metrics", HTTP_OPEN, get_metrics},
};
const size_t http_builtin_route_count = ARRAY_SIZE(http_builtin_routes);
