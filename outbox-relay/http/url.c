/* See url.h. */
#include "outbox-relay/http/url.h"
#include "shared/base/cleanup.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A copy of a part of the URL, "" when it has none. NULL: out of memory or unusable. */
static char *url_part(CURLU *url, CURLUPart part, CURLUcode none, unsigned flags)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(url, part, &text, flags);
    if (code != CURLUE_OK && code != none)
        return NULL;
    char *copy = strdup(text ? text : "");
    curl_free(text);
    return copy;
}

static bool is_ascii(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0x80)
            return false;
    return true;
}

static int make_prefix(CURLU *url, const char *user_agent, char **ret_prefix)
{
    AUTO_FREE char *scheme = url_part(url, CURLUPART_SCHEME, CURLUE_NO_SCHEME, 0);
    AUTO_FREE char *user = url_part(url, CURLUPART_USER, CURLUE_NO_USER, 0);
    AUTO_FREE char *password = url_part(url, CURLUPART_PASSWORD, CURLUE_NO_PASSWORD, 0);
    AUTO_FREE char *zone = url_part(url, CURLUPART_ZONEID, CURLUE_NO_ZONEID, 0);
    AUTO_FREE char *host = url_part(url, CURLUPART_HOST, CURLUE_NO_HOST, 0);
    AUTO_FREE char *port = url_part(url, CURLUPART_PORT, CURLUE_NO_PORT, CURLU_NO_DEFAULT_PORT);
    AUTO_FREE char *path = url_part(url, CURLUPART_PATH, CURLUE_OK, 0);
    AUTO_FREE char *query = url_part(url, CURLUPART_QUERY, CURLUE_NO_QUERY, 0);
    if (!scheme || !user || !password || !zone || !host || !port || !path || !query)
        return -ENOTSUP;
    if (strcmp(scheme, "http") != 0 || *user || *password || *zone || !*host || !is_ascii(host) ||
        !is_ascii(path) || !is_ascii(query))
        return -ENOTSUP;
    int length = asprintf(ret_prefix,
        "POST %s%s%s HTTP/1.1\r\nHost: %s%s%s\r\nUser-Agent: %s\r\nAccept: */*\r\n", path,
        *query ? "?" : "", query, host, *port ? ":" : "", port, user_agent);
    return length < 0 ? -ENOMEM : 0;
}

int url_request_prefix(const char *text, const char *user_agent, char **ret_prefix)
{
    CURLU *url = curl_url();
    if (!url)
        return -ENOMEM;
    int ret = -ENOTSUP;
    if (curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK)
        ret = make_prefix(url, user_agent, ret_prefix);
    curl_url_cleanup(url);
    return ret;
}
