/* Tokens by the examples of RFC 7515, appendix A, made and checked; and what is not one. */
#include "shared/base/base64.h"
#include "shared/base/cleanup.h"
#include "shared/base/json.h"
#include "shared/http/jws.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* A.1.1, A.2.1: the same claims in all examples. */
#define CLAIMS "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"
#define CLAIMS_ENCODED \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt" \
    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define A2_HEADER "{\"alg\":\"RS256\"}"
#define A2_TOKEN \
    "eyJhbGciOiJSUzI1NiJ9." CLAIMS_ENCODED \
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7" \
    "AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4" \
    "BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K" \
    "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv" \
    "hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrB" \
    "p0igcN_IoypGlUPQGe77Rw"

/* A.2.1: the RSA key, which the whole world knows. */
static const struct {
    const char *name, *value;
} A2_KEY[] = {
    {OSSL_PKEY_PARAM_RSA_N, "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp"
                            "-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOW"
                            "vG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUs"
                            "LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9k"
                            "G4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2"
                            "PAcDTW9gb54h4FRWyuXpoQ"},
    {OSSL_PKEY_PARAM_RSA_E, "AQAB"},
    {OSSL_PKEY_PARAM_RSA_D, "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_G"
                            "Q5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKV"
                            "RUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9J"
                            "YanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoF"
                            "aFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjn"
                            "czT0QU91p1DhOVRuOopznQ"},
    {OSSL_PKEY_PARAM_RSA_FACTOR1, "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBds"
                                  "s1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ"
                                  "5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc"},
    {OSSL_PKEY_PARAM_RSA_FACTOR2, "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHA"
                                  "jLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLt"
                                  "XlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc"},
};

static EVP_PKEY *key;

static int make_key(void **state)
{
    BIGNUM *numbers[ARRAY_SIZE(A2_KEY)];
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(A2_KEY); i++) {
        unsigned char bytes[256];
        size_t length = 0;
        assert_int_equal(base64_decode(BASE64_URL, A2_KEY[i].value, strlen(A2_KEY[i].value), bytes,
                             sizeof(bytes), &length),
            0);
        numbers[i] = BN_bin2bn(bytes, (int)length, NULL);
        assert_true(OSSL_PARAM_BLD_push_BN(builder, A2_KEY[i].name, numbers[i]));
    }
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    assert_true(EVP_PKEY_fromdata_init(context) > 0 &&
                EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params) > 0);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    for (size_t i = 0; i < ARRAY_SIZE(A2_KEY); i++)
        BN_free(numbers[i]);
    return 0;
}

static int free_key(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    return 0;
}

static bool is_valid(const char *token)
{
    struct jws jws;
    assert_int_equal(jws_parse(token, &jws), 0);
    bool valid = jws_verify_rs256(&jws, key);
    jws_release(&jws);
    return valid;
}

static void the_example_is_made(void **state)
{
    (void)state;
    AUTO_FREE char *token = jws_sign_rs256(A2_HEADER, CLAIMS, key);
    assert_non_null(token);
    assert_string_equal(token, A2_TOKEN);
}

static void the_example_is_valid(void **state)
{
    struct jws jws;
    (void)state;
    assert_int_equal(jws_parse(A2_TOKEN, &jws), 0);
    assert_string_equal(json_string_value(json_object_get(jws.header, "alg")), "RS256");
    assert_true(jws_verify_rs256(&jws, key));
    AUTO_JSON json_t *claims = jws_payload(&jws);
    assert_string_equal(json_string_value(json_object_get(claims, "iss")), "joe");
    assert_int_equal(json_integer_value(json_object_get(claims, "exp")), 1300819380);
    assert_true(json_is_true(json_object_get(claims, "http://example.com/is_root")));
    jws_release(&jws);
}

/* Another letter at any place of claims or signature. */
static void a_changed_letter_makes_it_invalid(void **state)
{
    AUTO_FREE char *token = strdup(A2_TOKEN);
    size_t claims = (size_t)(strchr(token, '.') - token) + 1, refused = 0;
    (void)state;
    for (size_t i = claims; token[i]; i++) {
        struct jws jws;
        char letter = token[i];
        if (letter == '.')
            continue;
        token[i] = letter == 'A' ? 'Q' : 'A';
        if (jws_parse(token, &jws) == 0) {
            assert_false(jws_verify_rs256(&jws, key));
            jws_release(&jws);
        }
        token[i] = letter;
        refused++;
    }
    assert_int_equal(refused, strlen(A2_TOKEN) - claims - 1);
    assert_true(is_valid(token));
}

/* A.1, A.3 and A.5: by HS256, by ES256, by none; and the header of one with the rest of another. */
static void other_algorithms_are_invalid(void **state)
{
    static const char *const TOKENS[] = {
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." CLAIMS_ENCODED
        ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        "eyJhbGciOiJFUzI1NiJ9." CLAIMS_ENCODED
        ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        "eyJhbGciOiJub25lIn0." CLAIMS_ENCODED ".",
        "eyJhbGciOiJSUzI1NiJ9." CLAIMS_ENCODED ".",
        "eyJhbGciOiJSUzI1NiJ9." CLAIMS_ENCODED ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(TOKENS); i++)
        assert_false(is_valid(TOKENS[i]));
}

static void other_forms_are_refused(void **state)
{
    static const char *const TEXTS[] = {
        "", ".", "..", "eyJhbGciOiJSUzI1NiJ9." CLAIMS_ENCODED, A2_TOKEN ".", A2_TOKEN ".e30",
        A2_TOKEN "=", " " A2_TOKEN, "W10." CLAIMS_ENCODED ".AAAA", /* a header that is a list */
        "eyJhbGciOiJub25lIiwiYWxnIjoiUlMyNTYifQ.e30.AAAA", /* two members of the same name */
        "eyJhbGciOiJSUzI1NiJ9=." CLAIMS_ENCODED ".AAAA",   /* padding */
        "eyJhbGciOiJSUzI1NiJ." CLAIMS_ENCODED ".AAAA",     /* cut */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(TEXTS); i++) {
        struct jws jws = {0};
        assert_int_equal(jws_parse(TEXTS[i], &jws), -EINVAL);
        assert_null(jws.header);
    }
}

static void a_key_without_its_private_half_does_not_sign(void **state)
{
    (void)state;
    EVP_PKEY *public_half = NULL;
    OSSL_PARAM *params = NULL;
    assert_int_equal(EVP_PKEY_todata(key, EVP_PKEY_PUBLIC_KEY, &params), 1);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    assert_true(EVP_PKEY_fromdata_init(context) > 0 &&
                EVP_PKEY_fromdata(context, &public_half, EVP_PKEY_PUBLIC_KEY, params) > 0);
    assert_null(jws_sign_rs256(A2_HEADER, CLAIMS, public_half));
    EVP_PKEY_free(public_half);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_is_made),
        cmocka_unit_test(the_example_is_valid),
        cmocka_unit_test(a_changed_letter_makes_it_invalid),
        cmocka_unit_test(other_algorithms_are_invalid),
        cmocka_unit_test(other_forms_are_refused),
        cmocka_unit_test(a_key_without_its_private_half_does_not_sign),
    };
    return cmocka_run_group_tests(tests, make_key, free_key);
}
