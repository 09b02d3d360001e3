/* RSA key pairs for RS256, as PEM and as JSON Web Key (RFC 7517). */
#ifndef AUTH_RSA_H
#define AUTH_RSA_H

#include "shared/base/cleanup.h"

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */

struct rsa_key {
    char *kid;         /* RFC 7638 thumbprint, SHA-256, base64url */
    char *private_pem; /* PKCS #8 */
    char *public_jwk;  /* {"kty","use","alg","kid","n","e"} as JSON text */
};

/* Makes a 2048-bit key pair; takes some 100 ms. Returns 0 and the key (rsa_key_release), -ENOMEM or
 * -EIO. */
MUST_CHECK int rsa_key_generate(struct rsa_key *ret_key);

/* Reads a private key that rsa_key_generate has made, to EVP_PKEY_free. NULL: it is none, or out of
 * memory. */
struct evp_pkey_st *rsa_key_read(const char *private_pem);

/* Frees, wiping the private half. */
void rsa_key_release(struct rsa_key *key);

#endif
