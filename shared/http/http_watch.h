/* Deadlines of a server's connections, kept by a thread. */
#ifndef SHARED_HTTP_WATCH_H
#define SHARED_HTTP_WATCH_H

#include <stdint.h>

struct http_watch;   /* the deadlines of all connections of a server, and their thread */
struct http_watched; /* that of one connection */

struct http_watch *http_watch_start(void);      /* NULL: no memory or no thread */
void http_watch_stop(struct http_watch *watch); /* after the last http_watch_remove; NULL allowed */
struct http_watched *http_watch_add(struct http_watch *watch, int fd); /* NULL: no memory */
void http_watch_remove(struct http_watched *watched); /* before fd is closed; NULL allowed */

/* Shuts the connection down unless the deadline is set anew within `timeout_ms`; 0: no deadline. */
void http_watch_within(struct http_watched *watched, int64_t timeout_ms);

#endif
