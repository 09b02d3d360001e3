/* Checks bearer tokens: JWT, literal algorithm RS256 only, key by `kid` from a JWKS that is fetched
 * over HTTP and cached. An unknown kid fetches it again (at most once a second), so that a rotation
 * needs no reload; an unreachable JWKS keeps the keys it has. Thread-safe. */
#ifndef SHARED_AUTH_H
#define SHARED_AUTH_H

#include "shared/base/cleanup.h"
#include "shared/http/claims.h"

#include <stdbool.h>
#include <stdint.h>

struct auth;

struct auth_settings {
    const char *jwks_url; /* copied */
    const char *issuer;   /* required `iss`; copied */
    const char *audience; /* required `aud`; copied */
    int leeway_s;         /* for exp, nbf, iat */
};

/* Starts a thread that fetches the JWKS until it has it and refreshes it every 5 minutes. NULL when
 * out of memory. */
struct auth *auth_new(const struct auth_settings *settings);
void auth_free(struct auth *auth);
bool auth_ready(struct auth *auth); /* has keys */

/* Instead of fetching: takes a JWKS document, for the service that makes the keys and for tests.
 * Returns 0 or -EINVAL. With jwks_url NULL nothing is fetched. */
MUST_CHECK int auth_set_jwks(struct auth *auth, const char *jwks_json);

/* Checks the value of an Authorization header ("Bearer …"; NULL allowed). Returns 0 and the claims,
 * or -EACCES with a reason for the problem's detail in *ret_reason (static text; it tells nothing
 * secret), or -ENOTCONN when no key could be had yet. */
MUST_CHECK int auth_check(struct auth *auth, const char *authorization,
    struct auth_claims *ret_claims, const char **ret_reason);

/* The same for http_settings.auth; lives as long as `auth`. */
const struct http_authenticator *auth_for_http(const struct auth *auth);

#endif
