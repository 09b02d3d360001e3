/* Key pairs of the auth service: the private half signs what the published half verifies. */
#include "services/auth/rsa.h"
#include "shared/http/jwks.h"
#include "shared/http/jws.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void the_halves_belong_together(void **state)
{
    struct rsa_key key;
    struct jwks jwks;
    struct jws jws;
    (void)state;
    assert_int_equal(rsa_key_generate(&key), 0);
    AUTO_FREE char *document = NULL;
    assert_true(asprintf(&document, "{\"keys\":[%s]}", key.public_jwk) > 0);
    assert_int_equal(jwks_parse(document, &jwks), 0);
    assert_non_null(jwks_find(&jwks, key.kid));
    EVP_PKEY *private_half = rsa_key_read(key.private_pem);
    assert_non_null(private_half);

    AUTO_FREE char *token = jws_sign_rs256("{\"alg\":\"RS256\"}", "{}", private_half);
    assert_non_null(token);
    assert_int_equal(jws_parse(token, &jws), 0);
    assert_true(jws_verify_rs256(&jws, jwks_find(&jwks, key.kid)->key));

    jws_release(&jws);
    EVP_PKEY_free(private_half);
    jwks_release(&jwks);
    rsa_key_release(&key);
    assert_null(key.private_pem);
}

static void what_is_no_private_key_is_not_read(void **state)
{
    struct rsa_key key;
    (void)state;
    assert_int_equal(rsa_key_generate(&key), 0);
    assert_null(rsa_key_read(""));
    assert_null(rsa_key_read(key.public_jwk));
    strchr(key.private_pem, '\n')[1] = '!';
    assert_null(rsa_key_read(key.private_pem));
    rsa_key_release(&key);
}

static void a_jwk_shows_nothing_private(void **state)
{
    static const char *const PRIVATE[] = {"\"d\"", "\"p\"", "\"q\"", "\"dp\"", "\"dq\"", "\"qi\""};
    struct rsa_key key;

    (void)state;
    assert_int_equal(rsa_key_generate(&key), 0);
    for (size_t i = 0; i < ARRAY_SIZE(PRIVATE); i++)
        assert_null(strstr(key.public_jwk, PRIVATE[i]));
    assert_null(strpbrk(key.kid, "+/="));
    assert_int_equal(strlen(key.kid), 43); /* 32 bytes of SHA-256 in base64url */
    rsa_key_release(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_halves_belong_together),
        cmocka_unit_test(what_is_no_private_key_is_not_read),
        cmocka_unit_test(a_jwk_shows_nothing_private),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
