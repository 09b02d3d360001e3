/* A service with an inbox, for tests: its handlers, and the events that are sent to it. */
#ifndef TESTS_SUPPORT_INBOX_FIXTURE_H
#define TESTS_SUPPORT_INBOX_FIXTURE_H

#include "shared/base/webhook.h"
#include "shared/service/inbox.h"
#include "tests/support/client.h"
#include "tests/support/service.h"

#include <stdatomic.h>

#define SINGLE "application/cloudevents+json"
#define BATCH "application/cloudevents-batch+json"

/* The handlers write rows of effect (event_id, key, value, headers): test.add; test.reject, then
 * says that it is not for it; test.break, then fails; test.swallow, then ignores a failed
 * statement; test.conflict, then `conflicts_left` times has a conflict; test.lose, then loses the
 * database. test.state keeps the newest version of a key in state (key, version). */
#define INBOX_ROUTE_COUNT 7
extern const struct inbox_route INBOX_ROUTES[INBOX_ROUTE_COUNT];
extern atomic_int conflicts_left;

extern struct test_service service;
extern char *secret; /* and the key that is made of it */
extern struct webhook_key webhook_key;

/* Set-up and tear-down of a group of tests. */
int inbox_start(void **state);
int inbox_stop(void **state);

struct spec {
    int number; /* makes the id: the same number is the same event */
    const char *type, *key;
    int value;
};

/* The id of an event; the caller frees it. */
char *id_of(int number);

/* The event as JSON; the caller releases it. */
json_t *event_of(const struct spec *spec);

/* A batch as text; the caller frees it. */
char *batch_of(const struct spec *specs, size_t count);

/* Numbers no test has used. */
int next_number(int count);

/* Sends it to the inbox with a good signature. */
struct client_reply send_signed(const char *content_type, const char *body);

/* Sends and expects a status and, for a problem, its code. */
void assert_answer(const char *content_type, const char *body, long status, const char *code);

/* The same for one event. */
void assert_one(const struct spec *spec, long status, const char *code);

/* Sends a batch and gives the list of what failed; NULL when nothing did. */
json_t *send_batch(const struct spec *specs, size_t count);

/* The index-th failure is of this event, with this text in its error. */
void assert_failure(
    const json_t *failed, size_t index, int number, const char *error, bool permanent);

/* How many effects, and inbox rows, an event has. */
long effects_of(int number);

long messages_of(int number);

/* The events from `first` on have so many of both. */
void assert_effects(int first, const int *expected, size_t count);

#endif
