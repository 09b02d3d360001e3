/* A server for tests of the HTTP server itself: new for each test, with the routes that the test
 * program names, and what can be asked of its answers. */
#ifndef TESTS_SUPPORT_HTTP_FIXTURE_H
#define TESTS_SUPPORT_HTTP_FIXTURE_H

#include "shared/http/http.h"
#include "tests/support/raw_http.h"

#define MAX_BODY 10000
#define MAX_CONNECTIONS 20

/* What the server serves; the program defines it. */
extern const struct http_route ROUTES[];
extern const size_t ROUTE_COUNT;

/* What it is started with. */
struct http_settings settings_of_test(void);

extern struct http_server *server;
extern struct raw_response response; /* the latest; large: not on the stack */

/* Set-up and tear-down of a test. */
int start(void **state);
int stop(void **state);

/* Sends a request on a connection of its own; its answer is in `response`. Returns the status. */
int exchange(const char *request);
void assert_header(const char *name, const char *expected);
/* The body is a whole problem with this code. */
void assert_problem(int status, const char *code);

/* A handler that waits until the test lets it go on. The gate is closed by start(). */
int gated(struct http_request *request);
void gate_set(bool open);
/* Until so many requests wait at it. */
void gate_await(int waiting);

/* A handler that gives back the body. */
int echo(struct http_request *request);

#endif
