/* Makes keys and tokens for tests, proper ones and forged ones. */
#ifndef TESTS_SUPPORT_TOKENS_H
#define TESTS_SUPPORT_TOKENS_H

#include <openssl/evp.h>
#include <stdint.h>

#define TEST_ISSUER "http://issuer.test"
#define TEST_AUDIENCE "http://audience.test"

EVP_PKEY *token_key_new(unsigned int bits); /* RSA; free with EVP_PKEY_free */

/* The key as a JWK, with `more` (",\"alg\":\"RS256\"") at its end; the caller frees it. */
char *token_jwk(EVP_PKEY *key, const char *kid, const char *more);

/* The public key's PEM; the caller frees it. */
char *token_public_pem(EVP_PKEY *key);

/* "header.claims.signature" by RS256, whatever the header says; the caller frees it. */
char *token_sign(EVP_PKEY *key, const char *header, const char *claims);

/* The same by HS256 with a secret. */
char *token_sign_hmac(const char *secret, const char *header, const char *claims);

/* "header.claims." */
char *token_unsigned(const char *header, const char *claims);

/* Claims as they should be, valid for `seconds`; the caller frees it. */
char *token_claims(int64_t user_id, const char *role, int64_t seconds);

/* "Bearer …" with these claims and {"alg":"RS256","kid":kid}; the caller frees it. */
char *token_bearer(
    EVP_PKEY *key, const char *kid, int64_t user_id, const char *role, int64_t seconds);

#endif
