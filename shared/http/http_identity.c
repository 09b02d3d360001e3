/* What identifies a request in logs and events: X-Request-Id and W3C Trace Context. */
#include "shared/http/http_identity.h"
#include "shared/base/hex.h"
#include "shared/base/random.h"
#include "shared/base/traceparent.h"
#include "shared/base/uuid.h"
#include "shared/http/http_request.h"

#include <string.h>

static bool is_request_id(const char *text)
{
    static const char ALLOWED[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = strspn(text, ALLOWED);
    return length > 0 && length < HTTP_REQUEST_ID_SIZE && text[length] == '\0';
}

void http_identify(struct http_request *request, const char *request_id, const char *traceparent)
{
    if (request_id && is_request_id(request_id)) {
        memcpy(request->request_id, request_id, strlen(request_id) + 1); /* checked to fit */
    } else {
        uuid_write_random(request->request_id);
        request->request_id[UUID_LENGTH] = '\0';
    }

    /* This request is a new span: of the caller's trace, or of a trace of its own. */
    unsigned char random[16 + 8];
    random_bytes(random, sizeof random);
    char *to = request->traceparent;
    memcpy(to, "00-", 3);
    if (traceparent && traceparent_valid(traceparent, strlen(traceparent))) {
        memcpy(to + TRACEPARENT_TRACE_ID, traceparent + TRACEPARENT_TRACE_ID, 32);
        memcpy(to + TRACEPARENT_FLAGS, traceparent + TRACEPARENT_FLAGS, 2);
    } else {
        hex_write(to + TRACEPARENT_TRACE_ID, random, 16);
        memcpy(to + TRACEPARENT_FLAGS, "01", 2);
    }
    to[TRACEPARENT_SPAN_ID - 1] = '-';
    hex_write(to + TRACEPARENT_SPAN_ID, random + 16, 8);
    to[TRACEPARENT_FLAGS - 1] = '-';
    to[TRACEPARENT_LENGTH] = '\0';
}
