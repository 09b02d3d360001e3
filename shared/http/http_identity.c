/* What identifies a request in logs and events: X-Request-Id and W3C Trace Context. */
#include "shared/http/http_identity.h"
#include "shared/base/hex.h"
#include "shared/base/random.h"
#include "shared/base/uuid.h"
#include "shared/http/http_request.h"

#include <string.h>

#define TRACE_ID_AT 3
#define SPAN_ID_AT 36
#define FLAGS_AT 53
#define TRACEPARENT_LENGTH (HTTP_TRACEPARENT_SIZE - 1)

static bool is_request_id(const char *text)
{
    static const char ALLOWED[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = strspn(text, ALLOWED);
    return length > 0 && length < HTTP_REQUEST_ID_SIZE && text[length] == '\0';
}

/* `length` lower-case hex digits that are not all zero. */
static bool is_hex_id(const char *text, size_t length)
{
    return strspn(text, "0123456789abcdef") >= length && strspn(text, "0") < length;
}

/* "00-<32 hex>-<16 hex>-<2 hex>"; of a later version the part that is known. */
static bool is_traceparent(const char *text)
{
    if (strnlen(text, TRACEPARENT_LENGTH) < TRACEPARENT_LENGTH)
        return false;
    bool known_version = strncmp(text, "00-", 3) == 0;
    bool later_version = strspn(text, "0123456789abcdef") == 2 && strncmp(text, "ff", 2) != 0;
    char end = text[TRACEPARENT_LENGTH];
    if (!(known_version ? end == '\0' : later_version && (end == '\0' || end == '-')))
        return false;
    return text[2] == '-' && is_hex_id(text + TRACE_ID_AT, 32) && text[SPAN_ID_AT - 1] == '-' &&
           is_hex_id(text + SPAN_ID_AT, 16) && text[FLAGS_AT - 1] == '-' &&
           strspn(text + FLAGS_AT, "0123456789abcdef") >= 2;
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
    if (traceparent && is_traceparent(traceparent)) {
        memcpy(to + TRACE_ID_AT, traceparent + TRACE_ID_AT, 32);
        memcpy(to + FLAGS_AT, traceparent + FLAGS_AT, 2);
    } else {
        hex_write(to + TRACE_ID_AT, random, 16);
        memcpy(to + FLAGS_AT, "01", 2);
    }
    to[SPAN_ID_AT - 1] = '-';
    hex_write(to + SPAN_ID_AT, random + 16, 8);
    to[FLAGS_AT - 1] = '-';
    to[TRACEPARENT_LENGTH] = '\0';
}
