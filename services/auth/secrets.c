/* Keeps passwords out of memory that outlives their use, and out of the database. */
#include "services/auth/handlers.h"
#include "services/auth/password.h"

#include <errno.h>
#include <string.h>

void wipe_text(const char *text)
{
    if (text != NULL)
        explicit_bzero((char *)text, strlen(text));
}

int conceal_body(struct http_request *request)
{
    const char *key = http_header(request, "Idempotency-Key");
    unsigned char digest[32];
    size_t length;
    char *body = (char *)http_body(request, &length);
    int ret = 0;

    if (body == NULL)
        return 0;
    if (key != NULL)
        ret = password_slow_digest(body, length, key, digest);
    explicit_bzero(body, length);
    if (ret < 0)
        return reply_failure(request, ret);
    if (key != NULL)
        memcpy(body, digest, length < sizeof(digest) ? length : sizeof(digest));
    return 0;
}
