/* See service.h. */
#include "tests/support/service.h"
#include "tests/support/database.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

void test_service_start(struct test_service *service, const struct migration_set *set,
    const char *sql, const struct http_route *routes, size_t route_count, struct auth *auth)
{
    int applied;
    struct db *db;
    service->conninfo = database_new();
    service->pool = db_pool_new(service->conninfo, "test", TEST_SERVICE_CONNECTIONS, 500);
    assert_int_equal(db_acquire(service->pool, &db), 0);
    assert_int_equal(migrate(db, set, &applied), 0);
    assert_int_equal(db_exec(db, sql), 0);
    db_release(db);
    const struct http_settings settings = {
        .program = "test",
        .address = "127.0.0.1",
        .max_connections = 64,
        .max_body = 1048576,
        .idle_timeout_s = 5,
        .routes = routes,
        .route_count = route_count,
        .auth = auth ? auth_for_http(auth) : NULL,
        .pool = service->pool,
    };
    assert_int_equal(http_server_start(&settings, &service->server), 0);
    service->port = http_server_port(service->server);
}

void test_service_stop(struct test_service *service)
{
    http_server_stop(service->server, 1000);
    db_pool_free(service->pool);
    free(service->conninfo);
}

struct answer test_service_ask(const struct test_service *service, const char *method,
    const char *path, const char *key_header, const char *authorization, const char *body)
{
    const char *headers[4] = {"Content-Type: application/json"};
    AUTO_FREE char *bearer = NULL;
    size_t count = 1;
    struct answer answer;
    if (key_header)
        headers[count++] = key_header;
    if (authorization)
        assert_true(asprintf(&bearer, "Authorization: %s", authorization) > 0);
    if (bearer)
        headers[count] = bearer;
    answer.reply = client_send(service->port, method, path, headers, body);
    answer.replayed = client_header(&answer.reply, "Idempotency-Replayed");
    answer.code = client_text(&answer.reply, "code");
    return answer;
}

void answer_release(struct answer *answer)
{
    client_reply_release(&answer->reply);
    free(answer->replayed);
    free(answer->code);
}
