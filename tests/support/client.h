/* An HTTP client for tests. */
#ifndef TESTS_SUPPORT_CLIENT_H
#define TESTS_SUPPORT_CLIENT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct client_reply {
    long status;
    char *body;    /* NUL-terminated */
    char *headers; /* all lines */
};

/* Sends a request to 127.0.0.1; `headers` is NULL-ended, or NULL; `body` NULL sends none. Fails the
 * test when no answer comes. May be called by any thread. */
struct client_reply client_send(uint16_t port, const char *method, const char *path,
    const char *const *headers, const char *body);
void client_reply_release(struct client_reply *reply);

/* The value of a header; NULL when absent. The caller frees it. */
char *client_header(const struct client_reply *reply, const char *name);

/* A text member of the JSON body, such as "code"; NULL when absent. The caller frees it. */
char *client_text(const struct client_reply *reply, const char *member);

#endif
