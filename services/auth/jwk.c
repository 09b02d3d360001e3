/* GET /jwk. */
#include "services/auth/jwk.h"

#include "services/auth/keys.h"
#include "services/auth/replies.h"

#include <string.h>

int jwk_get(struct http_request *request)
{
    AUTO_FREE char *jwks = NULL;
    int error = keys_jwks(&jwks);
    if (error < 0)
        return reply_failure(request, error);
    return http_reply(request, 200, "application/jwk-set+json", jwks, strlen(jwks));
}
