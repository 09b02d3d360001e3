/* Who sends a request, as a checked token says, and how a server has tokens checked. The server
 * knows neither their form nor their keys: a program without tokens links nothing of them. auth.h
 * checks JWTs. */
#ifndef SHARED_CLAIMS_H
#define SHARED_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

enum auth_role { AUTH_ROLE_USER = 1, AUTH_ROLE_ADMIN = 2 };

struct auth_claims {
    int64_t user_id; /* `sub`, digits only, > 0 */
    enum auth_role role;
    int64_t issued_at;  /* `iat`, Unix seconds; 0: absent */
    int64_t expires_at; /* `exp`, Unix seconds */
    char username[257];
};

struct http_authenticator {
    void *context; /* for the functions */

    /* Checks the value of an Authorization header (NULL: absent). Returns 0 and the claims; or
     * -EACCES and a reason for the problem's detail in *ret_reason (static text; it tells nothing
     * secret), or -ENOTCONN when tokens can't be checked at the moment. */
    int (*check)(void *context, const char *authorization, struct auth_claims *ret_claims,
        const char **ret_reason);

    /* Whether tokens can be checked, for /readyz. */
    bool (*ready)(void *context);
};

#endif
