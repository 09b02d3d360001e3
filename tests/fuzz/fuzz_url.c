/* URLs of subscriptions: whatever an operator writes, the request has one request line and the
 * fields that it should have, and the allow-list judges the host that stands in it. Input: list,
 * URL, with a NUL between them. */
#include "outbox-relay/engine/allow.h"
#include "outbox-relay/http/url.h"
#include "tests/fuzz/fuzz.h"

#include <strings.h>

static const char AGENT[] = "outbox-relay/0";

/* Copies the text between `before` and the next line end; returns what follows. */
static const char *take_line(const char *text, const char *before, char **ret_value)
{
    REQUIRE(strncmp(text, before, strlen(before)) == 0);
    text += strlen(before);
    const char *end = strstr(text, "\r\n");
    REQUIRE(end);
    *ret_value = strndup(text, (size_t)(end - text));
    REQUIRE(*ret_value);
    for (const char *c = *ret_value; *c; c++)
        REQUIRE((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f);
    return end + 2;
}

static void require_prefix(const char *prefix, char **ret_host)
{
    AUTO_FREE char *target = NULL;
    AUTO_FREE char *agent = NULL;
    AUTO_FREE char *accept = NULL;
    const char *rest = take_line(prefix, "POST ", &target);
    rest = take_line(rest, "Host: ", ret_host);
    rest = take_line(rest, "User-Agent: ", &agent);
    rest = take_line(rest, "Accept: ", &accept);
    REQUIRE(*rest == '\0');
    REQUIRE(target[0] == '/' && strcmp(agent, AGENT) == 0 && strcmp(accept, "*/*") == 0);
    char *blank = strchr(target, ' ');
    REQUIRE(blank && strcmp(blank, " HTTP/1.1") == 0);
    REQUIRE(**ret_host && !strpbrk(*ret_host, " @/?#\\"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {(const char *)data, size};
    AUTO_FREE char *list = fuzz_text(&input);
    AUTO_FREE char *url = fuzz_text(&input);
    AUTO_FREE char *prefix = NULL;
    AUTO_FREE char *host = NULL;
    bool allowed = allow_url(list, url);
    if (url_request_prefix(url, AGENT, &prefix) < 0)
        return 0;
    require_prefix(prefix, &host);
    /* One name and no other: the host of the request has to be it. */
    if (allowed && *list && !strpbrk(list, " ,\t\n:*"))
        REQUIRE(strncasecmp(host, list, strlen(list)) == 0 &&
                (host[strlen(list)] == '\0' || host[strlen(list)] == ':'));
    return 0;
}
