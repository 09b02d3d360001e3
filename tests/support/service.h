/* A server with a database of its own, for tests of what handlers do in transactions. */
#ifndef TESTS_SUPPORT_SERVICE_H
#define TESTS_SUPPORT_SERVICE_H

#include "shared/db/migrate.h"
#include "shared/http/auth.h"
#include "shared/http/http.h"
#include "tests/support/client.h"

struct test_service {
    char *conninfo;
    struct db_pool *pool;
    struct http_server *server;
    uint16_t port;
};

/* Makes the database with the tables of a set and those of `sql`, and serves the routes. `auth` may
 * be NULL. Fails the test on an error. */
void test_service_start(struct test_service *service, const struct migration_set *set,
    const char *sql, const struct http_route *routes, size_t route_count, struct auth *auth);
void test_service_stop(struct test_service *service);

#define TEST_SERVICE_CONNECTIONS 8 /* of the pool; none free for half a second: 503 */

/* A reply, and what stands in it; NULL when it does not. */
struct answer {
    struct client_reply reply;
    char *replayed, *code; /* Idempotency-Replayed, the code of a problem */
};

/* Sends a JSON body (or NULL); `key_header` is the whole line of an Idempotency-Key,
 * `authorization` a value; NULL: without. */
struct answer test_service_ask(const struct test_service *service, const char *method,
    const char *path, const char *key_header, const char *authorization, const char *body);
void answer_release(struct answer *answer);

#endif
