/* Standard Webhooks: the specification's vector, rotation, and forged or stale requests. */
#include "shared/base/base64.h"
#include "shared/base/webhook.h"
#include "tests/support/sign.h"

#include <errno.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The example that the libraries of standard-webhooks are all tested with. */
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define TIMESTAMP INT64_C(1614265330)
#define TIMESTAMP_TEXT "1614265330"
#define BODY "{\"test\": 2432232314}"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

static struct webhook_key key_of(const char *secret)
{
    struct webhook_key key;
    assert_int_equal(webhook_key_parse(secret, &key), 0);
    return key;
}

static int verify(const char *signatures, const char *body, int64_t now_s)
{
    struct webhook_key key = key_of(SECRET);
    return webhook_verify(&key, 1, ID, TIMESTAMP_TEXT, signatures, body, strlen(body), now_s);
}

static void signs_as_the_specification(void **state)
{
    struct webhook_key key = key_of(SECRET);
    char signature[WEBHOOK_SIGNATURE_SIZE];
    (void)state;
    assert_int_equal(sign_once(&key, ID, TIMESTAMP, BODY, strlen(BODY), signature), 0);
    assert_string_equal(signature, SIGNATURE);
    assert_int_equal(verify(SIGNATURE, BODY, TIMESTAMP), 0);
}

/* The signer starts each time from the state that the key left. */
static void a_signer_may_be_used_again(void **state)
{
    struct webhook_key key = key_of(SECRET);
    struct webhook_signer *signer = webhook_signer_new(&key, 1);
    char signature[WEBHOOK_SIGNATURES_SIZE];
    (void)state;
    assert_non_null(signer);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(webhook_signer_sign(signer, "other", "1", "x", 1, signature), 0);
        assert_string_not_equal(signature, SIGNATURE);
        assert_int_equal(
            webhook_signer_sign(signer, ID, TIMESTAMP_TEXT, BODY, strlen(BODY), signature), 0);
        assert_string_equal(signature, SIGNATURE);
    }
    webhook_signer_free(signer);
    webhook_signer_free(NULL);
}

/* With every length, beside OpenSSL's HMAC in one call. */
static void signs_with_two_keys(void **state)
{
    struct webhook_key keys[2];
    char text[WEBHOOK_SIGNATURES_SIZE], body[300], input[400];
    (void)state;
    assert_int_equal(webhook_key_parse("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", &keys[0]), 0);
    assert_int_equal(
        webhook_key_parse(
            "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            "AAAAAAAAAAAAAAAA==",
            &keys[1]),
        0);
    assert_int_equal(keys[1].length, 64);
    memset(body, 'x', sizeof(body));
    struct webhook_signer *signer = webhook_signer_new(keys, 2);
    assert_non_null(signer);
    for (size_t length = 0; length <= sizeof(body); length++) {
        char wanted[2][BASE64_ENCODED_SIZE(32)], both[WEBHOOK_SIGNATURES_SIZE];
        int prefix = snprintf(input, sizeof(input), "id.1700000000.");
        memcpy(input + prefix, body, length);
        for (int i = 0; i < 2; i++) {
            unsigned char digest[32];
            assert_non_null(HMAC(EVP_sha256(), keys[i].bytes, (int)keys[i].length,
                (unsigned char *)input, (size_t)prefix + length, digest, NULL));
            base64_encode(digest, sizeof(digest), wanted[i]);
        }
        snprintf(both, sizeof(both), "v1,%s v1,%s", wanted[0], wanted[1]);
        assert_int_equal(webhook_signer_sign(signer, "id", "1700000000", body, length, text), 0);
        assert_string_equal(text, both);
        assert_int_equal(
            webhook_verify(&keys[1], 1, "id", "1700000000", text, body, length, 1700000000), 0);
    }
    webhook_signer_free(signer);
}

static void an_empty_body_can_be_signed(void **state)
{
    struct webhook_key key = key_of(SECRET);
    char signature[WEBHOOK_SIGNATURE_SIZE];
    (void)state;
    assert_int_equal(sign_once(&key, ID, TIMESTAMP, NULL, 0, signature), 0);
    assert_int_equal(webhook_verify(&key, 1, ID, TIMESTAMP_TEXT, signature, NULL, 0, TIMESTAMP), 0);
}

static void takes_any_of_several_signatures_and_keys(void **state)
{
    char *other = secret_new();
    assert_non_null(other);
    struct webhook_key keys[2] = {key_of(other), key_of(SECRET)};
    char of_other[WEBHOOK_SIGNATURE_SIZE], header[256];
    (void)state;
    assert_int_equal(sign_once(&keys[0], ID, TIMESTAMP, BODY, strlen(BODY), of_other), 0);
    snprintf(header, sizeof(header), "v1a,c2lnbmF0dXJl v2,xyz %s  %s", of_other, SIGNATURE);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(
            webhook_verify(&keys[i], 1, ID, TIMESTAMP_TEXT, header, BODY, strlen(BODY), TIMESTAMP),
            0);
    assert_int_equal(
        webhook_verify(keys, 2, ID, TIMESTAMP_TEXT, SIGNATURE, BODY, strlen(BODY), TIMESTAMP), 0);
    assert_int_equal(
        webhook_verify(&keys[0], 1, ID, TIMESTAMP_TEXT, SIGNATURE, BODY, strlen(BODY), TIMESTAMP),
        -EACCES);
    assert_int_equal(
        webhook_verify(NULL, 0, ID, TIMESTAMP_TEXT, SIGNATURE, BODY, strlen(BODY), TIMESTAMP),
        -EACCES);
    free(other);
}

static void refuses_forged_signatures(void **state)
{
    static const char *const cases[] = {
        "",
        " ",
        "v1",
        "v1,",
        "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v0,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE",  /* not canonical */
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF=", /* the same bits, spelled otherwise */
        "v1,h0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1,g0hM9SsE",
        "v1, g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(verify(cases[i], BODY, TIMESTAMP), -EACCES);
    assert_int_equal(verify(SIGNATURE, "{\"test\": 2432232315}", TIMESTAMP), -EACCES);
    assert_int_equal(verify(SIGNATURE, BODY " ", TIMESTAMP), -EACCES);
}

static void refuses_missing_and_malformed_headers(void **state)
{
    static const struct {
        const char *id, *timestamp, *signatures;
    } cases[] = {
        {NULL, TIMESTAMP_TEXT, SIGNATURE},
        {"", TIMESTAMP_TEXT, SIGNATURE},
        {"msg_other", TIMESTAMP_TEXT, SIGNATURE},
        {ID, NULL, SIGNATURE},
        {ID, "", SIGNATURE},
        {ID, "01614265330", SIGNATURE},
        {ID, "1614265330 ", SIGNATURE},
        {ID, "-1614265330", SIGNATURE},
        {ID, "1614265331", SIGNATURE},
        {ID, "99999999999999999999", SIGNATURE},
        {ID, TIMESTAMP_TEXT, NULL},
    };
    struct webhook_key key = key_of(SECRET);
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(webhook_verify(&key, 1, cases[i].id, cases[i].timestamp,
                             cases[i].signatures, BODY, strlen(BODY), TIMESTAMP),
            -EACCES);
}

static void refuses_a_timestamp_that_is_off(void **state)
{
    (void)state;
    assert_int_equal(verify(SIGNATURE, BODY, TIMESTAMP + WEBHOOK_TOLERANCE_S), 0);
    assert_int_equal(verify(SIGNATURE, BODY, TIMESTAMP - WEBHOOK_TOLERANCE_S), 0);
    assert_int_equal(verify(SIGNATURE, BODY, TIMESTAMP + WEBHOOK_TOLERANCE_S + 1), -ESTALE);
    assert_int_equal(verify(SIGNATURE, BODY, TIMESTAMP - WEBHOOK_TOLERANCE_S - 1), -ESTALE);
    /* Who can't sign does not learn what the clock says. */
    assert_int_equal(verify("v1,x", BODY, TIMESTAMP + WEBHOOK_TOLERANCE_S + 1), -EACCES);
}

static void secrets_have_24_to_64_bytes(void **state)
{
    struct webhook_key key = {.length = 7};
    char text[128] = "whsec_";
    (void)state;
    memset(text + 6, 'A', 88);
    text[6 + 28] = '\0'; /* 21 bytes */
    assert_int_equal(webhook_key_parse(text, &key), -EINVAL);
    assert_int_equal(key.length, 7);
    text[6 + 28] = 'A', text[6 + 32] = '\0'; /* 24 */
    assert_int_equal(webhook_key_parse(text, &key), 0);
    assert_int_equal(key.length, 24);
    text[6 + 32] = 'A', text[6 + 84] = '\0'; /* 63 */
    assert_int_equal(webhook_key_parse(text, &key), 0);
    text[6 + 84] = 'A', text[6 + 88] = '\0'; /* 66 */
    assert_int_equal(webhook_key_parse(text, &key), -EINVAL);
    assert_int_equal(webhook_key_parse("", &key), -EINVAL);
    assert_int_equal(webhook_key_parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &key), -EINVAL);
    assert_int_equal(webhook_key_parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!", &key), -EINVAL);
}

static void a_new_secret_can_be_parsed(void **state)
{
    char *first = secret_new(), *second = secret_new();
    struct webhook_key key;
    (void)state;
    assert_non_null(first);
    assert_non_null(second);
    assert_string_not_equal(first, second);
    assert_int_equal(webhook_key_parse(first, &key), 0);
    assert_int_equal(key.length, 32);
    free(first);
    free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_as_the_specification),
        cmocka_unit_test(a_signer_may_be_used_again),
        cmocka_unit_test(signs_with_two_keys),
        cmocka_unit_test(an_empty_body_can_be_signed),
        cmocka_unit_test(takes_any_of_several_signatures_and_keys),
        cmocka_unit_test(refuses_forged_signatures),
        cmocka_unit_test(refuses_missing_and_malformed_headers),
        cmocka_unit_test(refuses_a_timestamp_that_is_off),
        cmocka_unit_test(secrets_have_24_to_64_bytes),
        cmocka_unit_test(a_new_secret_can_be_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
