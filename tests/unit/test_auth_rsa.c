/* Key pairs of the auth service: the private half signs what the published half verifies. */
#include "services/auth/rsa.h"
#include "shared/http/jwks.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static EVP_PKEY *read_private(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

    BIO_free(bio);
    assert_non_null(key);
    return key;
}

static void the_halves_belong_together(void **state)
{
    static const unsigned char TEXT[] = "signed text";
    unsigned char signature[512];
    size_t length = sizeof(signature);
    struct rsa_key key;
    struct jwks jwks;
    AUTO_FREE char *document = NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY *private_half, *public_half;

    (void)state;
    assert_int_equal(rsa_key_generate(&key), 0);
    assert_true(asprintf(&document, "{\"keys\":[%s]}", key.public_jwk) > 0);
    assert_int_equal(jwks_parse(document, &jwks), 0);
    assert_non_null(jwks_find(&jwks, key.kid));
    private_half = read_private(key.private_pem);
    public_half = jwks_find(&jwks, key.kid)->key;

    assert_int_equal(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, private_half), 1);
    assert_int_equal(EVP_DigestSign(context, signature, &length, TEXT, sizeof(TEXT)), 1);
    EVP_MD_CTX_reset(context);
    assert_int_equal(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, public_half), 1);
    assert_int_equal(EVP_DigestVerify(context, signature, length, TEXT, sizeof(TEXT)), 1);

    EVP_PKEY_free(private_half);
    EVP_MD_CTX_free(context);
    jwks_release(&jwks);
    rsa_key_release(&key);
    assert_null(key.private_pem);
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
        cmocka_unit_test(a_jwk_shows_nothing_private),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
