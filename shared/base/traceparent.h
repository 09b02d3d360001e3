/* W3C Trace Context (https://www.w3.org/TR/trace-context/): what may be sent on. */
#ifndef SHARED_TRACEPARENT_H
#define SHARED_TRACEPARENT_H

#include <stdbool.h>
#include <stddef.h>

/* 00-<trace id>-<span id>-<flags>, in lower-case hexadecimal; where its parts begin. */
#define TRACEPARENT_LENGTH 55
#define TRACEPARENT_TRACE_ID 3
#define TRACEPARENT_SPAN_ID 36
#define TRACEPARENT_FLAGS 53

/* Whether it is of version 00, or of a later one that begins with the same parts. The ids must not
 * be zero, and there is no version ff. */
bool traceparent_valid(const char *text, size_t length);

/* Whether it looks like a list of key=value: it begins like a key, has a "=" and only printable
 * ASCII. The keys and values are for their vendors to check. */
bool tracestate_valid(const char *text, size_t length);

#endif
