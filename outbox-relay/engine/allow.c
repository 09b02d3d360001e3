/* See allow.h. The URL is taken apart by libcurl, which is also what will follow it. */
#include "outbox-relay/engine/allow.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SEPARATORS " ,\t\n"

struct parts {
    char *scheme, *host, *port, *user;
};

static void free_parts(struct parts *parts)
{
    curl_free(parts->scheme);
    curl_free(parts->host);
    curl_free(parts->port);
    curl_free(parts->user);
}

static bool take_apart(const char *text, struct parts *parts)
{
    CURLU *url = curl_url();
    bool ok = url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
              curl_url_get(url, CURLUPART_SCHEME, &parts->scheme, 0) == CURLUE_OK &&
              curl_url_get(url, CURLUPART_HOST, &parts->host, 0) == CURLUE_OK &&
              curl_url_get(url, CURLUPART_PORT, &parts->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    if (ok)
        curl_url_get(url, CURLUPART_USER, &parts->user, 0);
    curl_url_cleanup(url);
    return ok;
}

static bool host_matches(const char *pattern, size_t length, const char *host)
{
    size_t host_length = strlen(host);
    if (length > 2 && pattern[0] == '*' && pattern[1] == '.')
        return host_length > length - 1 &&
               strncasecmp(host + host_length - (length - 1), pattern + 1, length - 1) == 0;
    return host_length == length && strncasecmp(host, pattern, length) == 0;
}

/* `entry` is HOST or HOST:PORT; an IPv6 address is in brackets. */
static bool entry_matches(const char *entry, size_t length, const struct parts *parts)
{
    const char *end = entry + length, *colon = end;
    while (colon > entry && colon[-1] != ':' && colon[-1] != ']')
        colon--;
    if (colon == entry || colon[-1] == ']')
        return host_matches(entry, length, parts->host);
    return (size_t)(end - colon) == strlen(parts->port) &&
           memcmp(colon, parts->port, (size_t)(end - colon)) == 0 &&
           host_matches(entry, (size_t)(colon - 1 - entry), parts->host);
}

static bool list_matches(const char *list, const struct parts *parts)
{
    const char *entry = list + strspn(list, SEPARATORS);
    if (!*entry)
        return true;
    while (*entry) {
        size_t length = strcspn(entry, SEPARATORS);
        if (entry_matches(entry, length, parts))
            return true;
        entry += length;
        entry += strspn(entry, SEPARATORS);
    }
    return false;
}

bool allow_url(const char *list, const char *url)
{
    struct parts parts = {0};
    bool ok = take_apart(url, &parts) && !parts.user &&
              (strcmp(parts.scheme, "http") == 0 || strcmp(parts.scheme, "https") == 0) &&
              list_matches(list, &parts);
    free_parts(&parts);
    return ok;
}
