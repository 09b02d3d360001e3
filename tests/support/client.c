/* An HTTP client for tests, on libcurl. */
#include "tests/support/client.h"
#include "shared/base/cleanup.h"
#include "shared/base/json.h"

#include <curl/curl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

static size_t keep(char *data, size_t unit, size_t count, void *out)
{
    return fwrite(data, unit, count, out);
}

struct client_reply client_send(uint16_t port, const char *method, const char *path,
    const char *const *headers, const char *body)
{
    struct client_reply reply = {.status = 0};
    size_t body_size, headers_size;
    char url[512];
    struct curl_slist *list = NULL;
    FILE *body_out = open_memstream(&reply.body, &body_size);
    FILE *headers_out = open_memstream(&reply.headers, &headers_size);
    CURL *curl = curl_easy_init();
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
    for (; headers && *headers; headers++)
        list = curl_slist_append(list, *headers);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 60000L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    if (body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body_out);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, headers_out);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(list);
    fclose(body_out);
    fclose(headers_out);
    if (code != CURLE_OK)
        fail_msg("%s %s: %s", method, path, curl_easy_strerror(code));
    return reply;
}

void client_reply_release(struct client_reply *reply)
{
    free(reply->body);
    free(reply->headers);
    reply->body = reply->headers = NULL;
}

char *client_header(const struct client_reply *reply, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = reply->headers; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncasecmp(line, name, length) != 0 || line[length] != ':')
            continue;
        const char *value = line + length + 1;
        value += strspn(value, " \t");
        return strndup(value, strcspn(value, "\r\n"));
    }
    return NULL;
}

char *client_text(const struct client_reply *reply, const char *member)
{
    AUTO_JSON json_t *body = json_loads(reply->body, 0, NULL);
    const char *text = json_string_value(json_object_get(body, member));
    return text ? strdup(text) : NULL;
}
