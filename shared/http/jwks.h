/* The public keys of a JSON Web Key Set (RFC 7517): RSA keys for signatures only. */
#ifndef SHARED_JWKS_H
#define SHARED_JWKS_H

#include "shared/base/cleanup.h"

#include <stddef.h>

#define JWKS_MAX_KEYS 8
#define JWKS_MAX_BYTES 65536
#define JWKS_KID_SIZE 129

struct jwks_key {
    char kid[JWKS_KID_SIZE];
    struct evp_pkey_st *key; /* EVP_PKEY, may be used by several threads at once */
};

struct jwks {
    struct jwks_key keys[JWKS_MAX_KEYS];
    size_t count;
};

/* Takes the usable keys: kty RSA, a kid, use absent or sig, alg absent or RS256, 2048 to 8192 bits.
 * Others are passed over, and so is what comes after JWKS_MAX_KEYS. Returns 0, or -EINVAL when the
 * text is no JWKS or has no usable key. */
MUST_CHECK int jwks_parse(const char *json, struct jwks *ret_jwks);
void jwks_release(struct jwks *jwks);

const struct jwks_key *jwks_find(const struct jwks *jwks, const char *kid); /* NULL: none */

/* Fetches a document by HTTP within `timeout_ms`; no redirects, at most JWKS_MAX_BYTES. Returns 0
 * and text to be freed by the caller, or -ENOTCONN with the cause in `ret_error`. */
MUST_CHECK int jwks_fetch(
    const char *url, long timeout_ms, char **ret_json, char *ret_error, size_t error_size);

#endif
