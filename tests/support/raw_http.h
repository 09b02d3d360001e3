/* A client that sends any bytes at all, for tests of servers. */
#ifndef TESTS_SUPPORT_RAW_HTTP_H
#define TESTS_SUPPORT_RAW_HTTP_H

#include <stddef.h>
#include <stdint.h>

#define RAW_TIMEOUT_MS 10000 /* of each wait; a test that needs it has failed */

/* A response read from a connection. */
struct raw_response {
    int status;         /* 0: the connection ended before a whole response */
    char head[8192];    /* status line and headers, NUL-terminated */
    char body[1 << 18]; /* NUL-terminated */
    size_t length;      /* of the body */
};

int raw_connect(uint16_t port);    /* to 127.0.0.1; fails the test when refused */
int raw_is_refused(uint16_t port); /* whether nobody listens there any more */
/* Sends all, or as much as the peer takes before it closes. Returns the number of bytes sent. */
size_t raw_send(int fd, const char *bytes, size_t length);
size_t raw_send_text(int fd, const char *text);
/* Reads one response by its Content-Length; `head_only` for HEAD. */
void raw_receive(int fd, int head_only, struct raw_response *ret_response);
/* Whether the peer closes within the timeout, without another byte. */
int raw_is_closed(int fd);
/* The value of a header in `head`, copied into `value`; NULL when absent. */
const char *raw_header(
    const struct raw_response *response, const char *name, char *value, size_t size);

/* Connects, sends, reads one response, closes. Returns the status. */
int raw_exchange(uint16_t port, const char *request, struct raw_response *ret_response);

#endif
