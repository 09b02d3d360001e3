/* Reads the answer to an HTTP/1.1 POST as it comes in, in pieces of any size (RFC 9112). Does no
 * input or output and allocates nothing. */
#ifndef RELAY_HTTP1_H
#define RELAY_HTTP1_H

#include "shared/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HTTP1_LINE_MAX 512   /* a longer line is an error when it matters, else passed over */
#define HTTP1_HEAD_MAX 65536 /* all lines that are not body; more is an error */

enum http1_state {
    HTTP1_STATUS_LINE,
    HTTP1_FIELDS,
    HTTP1_BODY,       /* of known length */
    HTTP1_UNTIL_END,  /* as long as the connection is open */
    HTTP1_CHUNK_SIZE, /* the line with it */
    HTTP1_CHUNK,
    HTTP1_CHUNK_END, /* the line end after the chunk */
    HTTP1_TRAILER,
    HTTP1_DONE,
};

struct http1 {
    enum http1_state state;
    int status;      /* of the final answer: interim ones are skipped */
    bool keep_alive; /* the connection may be used again */
    bool chunked, has_coding, has_length;
    bool old_version;     /* HTTP/1.0 */
    bool field_matters;   /* the latest field tells where the body ends */
    uint64_t left;        /* bytes of the body or of the chunk */
    char retry_after[64]; /* the field's value; "": none */
    char line[HTTP1_LINE_MAX];
    size_t line_length; /* kept of the line that is being read */
    bool line_cut;
    size_t head_length;
    void (*on_body)(void *context, const char *data, size_t length);
    void *context;
};

/* Begins a new answer; on_body and context stay. */
void http1_begin(struct http1 *http1);

/* Reads on. Returns how many bytes belong to the answer: fewer than `length` only when it is done.
 * Errors: -EBADMSG, the answer is not HTTP/1. */
MUST_CHECK ssize_t http1_feed(struct http1 *http1, const char *data, size_t length);

/* The receiver has closed the connection. Errors: -EBADMSG, that cut the answer off. */
MUST_CHECK int http1_end(struct http1 *http1);

#endif
