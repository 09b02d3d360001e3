/* See keys.h. */
#include "tests/support/keys.h"
#include "tests/support/tokens.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

EVP_PKEY *key_one, *key_two;
char *jwks_one, *jwks_both;

char *text_of(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    assert_true(vasprintf(&text, format, arguments) >= 0);
    va_end(arguments);
    return text;
}

struct auth *auth_with(const char *jwks_url)
{
    struct auth_settings settings = {
        .jwks_url = jwks_url, .issuer = TEST_ISSUER, .audience = TEST_AUDIENCE, .leeway_s = 5};
    struct auth *auth = auth_new(&settings);
    assert_non_null(auth);
    return auth;
}

int check(struct auth *auth, const char *token, const char **ret_reason)
{
    struct auth_claims claims = {.user_id = -1};
    AUTO_FREE char *bearer = text_of("Bearer %s", token);
    int ret = auth_check(auth, bearer, &claims, ret_reason);
    if (ret < 0)
        assert_int_equal(claims.user_id, -1);
    return ret;
}

/* Refused for this reason. */
void assert_refused(struct auth *auth, const char *token, const char *reason)
{
    const char *given = NULL;
    assert_int_equal(check(auth, token, &given), -EACCES);
    assert_string_equal(given, reason);
}

int make_keys(void **state)
{
    (void)state;
    key_one = token_key_new(2048);
    key_two = token_key_new(2048);
    AUTO_FREE char *one = token_jwk(key_one, "one", ",\"use\":\"sig\",\"alg\":\"RS256\"");
    AUTO_FREE char *two = token_jwk(key_two, "two", "");
    jwks_one = text_of("{\"keys\":[%s]}", one);
    jwks_both = text_of("{\"keys\":[%s,%s]}", one, two);
    return 0;
}

int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(key_one);
    EVP_PKEY_free(key_two);
    free(jwks_one);
    free(jwks_both);
    return 0;
}
