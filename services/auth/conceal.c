/* The body of a request that holds a password, once it is parsed. */
#include "services/auth/conceal.h"

#include "services/auth/password.h"
#include "services/auth/replies.h"

#include <string.h>

int conceal_body(struct http_request *request)
{
    size_t length = 0;
    char *body = (char *)http_body(request, &length);
    if (!body)
        return 0;
    const char *key = http_header(request, "Idempotency-Key");
    unsigned char digest[PASSWORD_DIGEST_SIZE] = {0};
    int error = key ? password_slow_digest(body, length, key, digest) : 0;
    explicit_bzero(body, length);
    if (error < 0)
        return reply_failure(request, error);
    if (key)
        memcpy(body, digest, length < sizeof(digest) ? length : sizeof(digest));
    return 0;
}
