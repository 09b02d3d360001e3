/* Headers that a proxy in front might read otherwise than libmicrohttpd does, which takes the first
 * of two lengths and ignores a name with a space behind it. What one takes for a body, the other
 * would take for the next request (request smuggling): RFC 9112, 5.1, 6.1, 6.3 and 11.2. */
#include "shared/http/http_framing.h"
#include "shared/http/http_request.h"

#include <microhttpd.h>
#include <string.h>

static const char *const ONLY_ONCE[] = {
    "Host", "Content-Length", "Transfer-Encoding", "Authorization"};

struct framing {
    unsigned seen[ARRAY_SIZE(ONLY_ONCE)];
    bool bad_name;
};

/* RFC 9110, 5.6.2. */
static bool is_token(const char *text)
{
    static const char TOKEN[] =
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t length = strspn(text, TOKEN);
    return length > 0 && text[length] == '\0';
}

static enum MHD_Result look_at(
    void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    (void)value;
    struct framing *framing = cls;
    framing->bad_name = framing->bad_name || !is_token(name);
    for (size_t i = 0; i < ARRAY_SIZE(ONLY_ONCE); i++) {
        if (strcasecmp(name, ONLY_ONCE[i]) == 0)
            framing->seen[i]++;
    }
    return MHD_YES;
}

const char *http_framing_complaint(const struct http_request *request)
{
    struct framing framing = {0};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, look_at, &framing);
    if (framing.bad_name)
        return "a header's name has a character that is not allowed there";
    for (size_t i = 0; i < ARRAY_SIZE(ONLY_ONCE); i++) {
        if (framing.seen[i] > 1)
            return "Host, Content-Length, Transfer-Encoding and Authorization may be given once";
    }
    const char *encoding = http_header(request, "Transfer-Encoding");
    if (encoding && http_header(request, "Content-Length"))
        return "Content-Length and Transfer-Encoding exclude each other";
    if (encoding && strcasecmp(encoding, "chunked") != 0)
        return "the only supported Transfer-Encoding is chunked";
    return NULL;
}
