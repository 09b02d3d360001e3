/* Signed tokens in compact form (JSON Web Signature, RFC 7515): made and checked by RS256 (RFC
 * 7518, 3.3), on OpenSSL. Keys are read once, not for each token: reading a PEM takes OpenSSL 3
 * many times as long as checking a signature, under locks that all threads share. */
#ifndef SHARED_JWS_H
#define SHARED_JWS_H

#include "shared/base/cleanup.h"

#include "shared/base/json.h"
#include <stdbool.h>
#include <stddef.h>

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */

#define JWS_SIGNATURE_MAX_BYTES 1024 /* of an RSA key of 8192 bits */

struct jws {
    const char *text;     /* borrowed: header.payload.signature */
    size_t signed_length; /* of header.payload */
    const char *payload;  /* within text, encoded */
    size_t payload_length;
    json_t *header; /* owned, an object */
    unsigned char signature[JWS_SIGNATURE_MAX_BYTES];
    size_t signature_length;
};

/* Takes a token apart: exactly three parts, each in the one spelling that base64url has for it, the
 * header a JSON object of at most 1 KiB without duplicate members. Nothing is checked yet. Returns
 * 0, or -EINVAL. */
MUST_CHECK int jws_parse(const char *text, struct jws *ret_jws);
void jws_release(struct jws *jws); /* also one that is all zero */

/* Whether `key`, an RSA key, has signed it by RS256, whatever algorithm the header names. */
bool jws_verify_rs256(const struct jws *jws, struct evp_pkey_st *key);

/* The payload when it is a JSON object without duplicate members, owned by the caller; else NULL.
 * Only to be trusted after the check. */
json_t *jws_payload(const struct jws *jws);

/* The token of these texts, as they stand there (JSON in UTF-8; the header should name RS256),
 * signed with `key`, an RSA key with its private half. The caller frees it. NULL: out of memory, or
 * the key does not sign. */
char *jws_sign_rs256(const char *header, const char *payload, struct evp_pkey_st *key);

#endif
