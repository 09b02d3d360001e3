/* See retry_after.h. */
#include "outbox-relay/http/retry_after.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

int64_t retry_after_parse(const char *value, int64_t now_s)
{
    size_t digits = strspn(value, "0123456789");
    if (digits > 0)
        return digits < 10 ? strtoll(value, NULL, 10) : INT32_MAX;
    time_t when = *value ? curl_getdate(value, NULL) : -1;
    return when > now_s ? when - now_s : -1;
}
