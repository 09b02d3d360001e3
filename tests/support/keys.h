/* Two keys, and tokens that are checked against them. */
#ifndef TESTS_SUPPORT_KEYS_H
#define TESTS_SUPPORT_KEYS_H

#include "shared/base/cleanup.h"
#include "shared/http/auth.h"

#include <openssl/evp.h>

#define HEADER_ONE "{\"alg\":\"RS256\",\"kid\":\"one\"}"

extern EVP_PKEY *key_one, *key_two;
extern char *jwks_one, *jwks_both; /* key sets: the first, both */

/* Set-up and tear-down of a group of tests. */
int make_keys(void **state);
int free_keys(void **state);

/* A formatted text; the caller frees it. */
char *text_of(const char *format, ...) PRINTF_LIKE(1, 2);

/* For TEST_ISSUER and TEST_AUDIENCE; keys are fetched from the URL unless it is NULL. */
struct auth *auth_with(const char *jwks_url);

/* auth_check of a bearer token; claims must not be set when it fails. */
int check(struct auth *auth, const char *token, const char **ret_reason);

/* Refused for this reason. */
void assert_refused(struct auth *auth, const char *token, const char *reason);

#endif
