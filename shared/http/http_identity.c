/* What identifies a request in logs and events: X-Request-Id and W3C Trace Context. */
#include "shared/http/http_identity.h"
#include "shared/base/traceparent.h"
#include "shared/http/http_request.h"

#include <string.h>
#include <sys/random.h>

static void random_bytes(unsigned char *bytes, size_t length)
{
    /* At most 256 bytes: never interrupted once the kernel's generator is seeded. */
    if (getrandom(bytes, length, 0) != (ssize_t)length)
        abort();
}

static void write_hex(char *to, const unsigned char *bytes, size_t length)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < length; i++) {
        to[2 * i] = DIGITS[bytes[i] >> 4];
        to[2 * i + 1] = DIGITS[bytes[i] & 15];
    }
}

/* A random UUID (RFC 9562, version 4). */
static void write_uuid(char *to)
{
    unsigned char bytes[16];
    random_bytes(bytes, sizeof bytes);
    bytes[6] = (unsigned char)((bytes[6] & 0x0F) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3F) | 0x80);
    static const size_t GROUPS[] = {4, 2, 2, 2, 6};
    const unsigned char *from = bytes;
    for (size_t i = 0; i < ARRAY_SIZE(GROUPS); i++) {
        if (i > 0)
            *to++ = '-';
        write_hex(to, from, GROUPS[i]);
        to += 2 * GROUPS[i];
        from += GROUPS[i];
    }
    *to = '\0';
}

static bool is_request_id(const char *text)
{
    static const char ALLOWED[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = strspn(text, ALLOWED);
    return length > 0 && length < HTTP_REQUEST_ID_SIZE && text[length] == '\0';
}

void http_identify(struct http_request *request, const char *request_id, const char *traceparent)
{
    if (request_id && is_request_id(request_id))
        memcpy(request->request_id, request_id, strlen(request_id) + 1); /* checked to fit */
    else
        write_uuid(request->request_id);

    /* This request is a new span: of the caller's trace, or of a trace of its own. */
    unsigned char random[16 + 8];
    random_bytes(random, sizeof random);
    char *to = request->traceparent;
    memcpy(to, "00-", 3);
    if (traceparent && traceparent_valid(traceparent, strlen(traceparent))) {
        memcpy(to + TRACEPARENT_TRACE_ID, traceparent + TRACEPARENT_TRACE_ID, 32);
        memcpy(to + TRACEPARENT_FLAGS, traceparent + TRACEPARENT_FLAGS, 2);
    } else {
        write_hex(to + TRACEPARENT_TRACE_ID, random, 16);
        memcpy(to + TRACEPARENT_FLAGS, "01", 2);
    }
    to[TRACEPARENT_SPAN_ID - 1] = '-';
    write_hex(to + TRACEPARENT_SPAN_ID, random + 16, 8);
    to[TRACEPARENT_FLAGS - 1] = '-';
    to[TRACEPARENT_LENGTH] = '\0';
}
