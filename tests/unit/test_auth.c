/* Bearer tokens under attack. How keys are fetched is in test_auth_jwks.c. */
#include "shared/base/log.h"
#include "shared/http/auth.h"
#include "tests/support/keys.h"
#include "tests/support/tokens.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* With the key "one" and nothing to fetch. */
static struct auth *auth_with_key_one(void)
{
    struct auth *auth = auth_with(NULL);
    assert_int_equal(auth_set_jwks(auth, jwks_one), 0);
    return auth;
}

static void takes_a_proper_token(void **state)
{
    struct auth *auth = auth_with_key_one();
    struct auth_claims claims;
    const char *reason = NULL;
    AUTO_FREE char *user = token_bearer(key_one, "one", INT64_MAX, "USER", 60);
    AUTO_FREE char *admin = token_bearer(key_one, "one", 1, "ADMIN", 60);
    (void)state;
    assert_int_equal(auth_check(auth, user, &claims, &reason), 0);
    assert_true(claims.user_id == INT64_MAX);
    assert_int_equal(claims.role, AUTH_ROLE_USER);
    assert_string_equal(claims.username, "bob");
    assert_in_range(claims.expires_at, time(NULL) + 50, time(NULL) + 70);
    memcpy(admin, "bEARER", 6); /* the scheme's case does not matter */
    assert_int_equal(auth_check(auth, admin, &claims, &reason), 0);
    assert_int_equal(claims.role, AUTH_ROLE_ADMIN);
    auth_free(auth);
}

static void needs_a_bearer_token(void **state)
{
    static const char *const cases[] = {
        NULL, "", "Bearer", "Basic Ym9iOmJvYg==", "bob", " Bearer x"};
    struct auth *auth = auth_with_key_one();
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct auth_claims claims;
        const char *reason = NULL;
        assert_int_equal(auth_check(auth, cases[i], &claims, &reason), -EACCES);
        assert_string_equal(reason, "a bearer token is required");
    }
    auth_free(auth);
}

static void refuses_malformed_tokens(void **state)
{
    static const char *const cases[] = {"", ".", "..", "x", "a.b.c", "e30.e30.e30", "eyJ.e30.x",
        "bnVsbA.e30.x", "W10.e30.x", "\x01\x02.\xff.\xfe", "e30=.e30.x",
        "eyJhbGciOiJSUzI1NiIsImFsZyI6Im5vbmUifQ.e30.x" /* alg twice */};
    struct auth *auth = auth_with_key_one();
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_refused(auth, cases[i], "the token is malformed");
    auth_free(auth);
}

static void refuses_other_algorithms(void **state)
{
    static const char *const algorithms[] = {"none", "None", "NONE", "nOnE", "HS256", "hs256",
        "HS512", "RS384", "RS512", "rs256", "PS256", "ES256", "EdDSA", "RS256 ", ""};
    struct auth *auth = auth_with_key_one();
    AUTO_FREE char *pem = token_public_pem(key_one);
    AUTO_FREE char *claims = token_claims(7, "ADMIN", 60);
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
        AUTO_FREE char *header = text_of("{\"alg\":\"%s\",\"kid\":\"one\"}", algorithms[i]);
        AUTO_FREE char *plain = token_unsigned(header, claims);
        AUTO_FREE char *hmac = token_sign_hmac(pem, header, claims);
        AUTO_FREE char *rsa = token_sign(key_one, header, claims);
        assert_refused(auth, plain, "the token's algorithm is not RS256");
        assert_refused(auth, hmac, "the token's algorithm is not RS256");
        assert_refused(auth, rsa, "the token's algorithm is not RS256");
    }
    auth_free(auth);
}

static void refuses_critical_extensions(void **state)
{
    struct auth *auth = auth_with_key_one();
    AUTO_FREE char *claims = token_claims(7, "USER", 60);
    AUTO_FREE char *token = token_sign(
        key_one, "{\"alg\":\"RS256\",\"kid\":\"one\",\"crit\":[\"b64\"],\"b64\":false}", claims);
    (void)state;
    assert_refused(auth, token, "the token's algorithm is not RS256");
    auth_free(auth);
}

static void refuses_forged_signatures(void **state)
{
    static const char wrong[] = "the token's signature is wrong";
    struct auth *auth = auth_with_key_one();
    AUTO_FREE char *pem = token_public_pem(key_one);
    AUTO_FREE char *claims = token_claims(7, "USER", 60);
    AUTO_FREE char *admin_claims = token_claims(7, "ADMIN", 60);
    AUTO_FREE char *unsigned_token = token_unsigned(HEADER_ONE, claims);
    AUTO_FREE char *hmac = token_sign_hmac(pem, HEADER_ONE, claims);
    AUTO_FREE char *other_key = token_sign(key_two, HEADER_ONE, claims);
    AUTO_FREE char *good = token_sign(key_one, HEADER_ONE, claims);
    AUTO_FREE char *admin = token_sign(key_two, HEADER_ONE, admin_claims);
    (void)state;
    assert_refused(auth, unsigned_token, wrong);
    assert_refused(auth, hmac, wrong);
    assert_refused(auth, other_key, wrong);

    /* A good signature under other claims. */
    char *claims_end = strrchr(admin, '.'), *signature = strrchr(good, '.');
    AUTO_FREE char *grafted = text_of("%.*s%s", (int)(claims_end - admin), admin, signature);
    assert_refused(auth, grafted, wrong);

    AUTO_FREE char *cut = strdup(good);
    cut[strlen(cut) - 2] = '\0'; /* of 342 characters: a whole byte less */
    assert_refused(auth, cut, wrong);
    AUTO_FREE char *four_parts = text_of("%s.x", good);
    assert_refused(auth, four_parts, "the token is malformed");
    AUTO_FREE char *padded = text_of("%s==", good);
    assert_refused(auth, padded, "the token is malformed");
    auth_free(auth);
}

static void refuses_unknown_keys(void **state)
{
    struct auth *auth = auth_with_key_one();
    AUTO_FREE char *claims = token_claims(7, "USER", 60);
    AUTO_FREE char *other = token_sign(key_two, "{\"alg\":\"RS256\",\"kid\":\"two\"}", claims);
    AUTO_FREE char *none = token_sign(key_one, "{\"alg\":\"RS256\"}", claims);
    AUTO_FREE char *number = token_sign(key_one, "{\"alg\":\"RS256\",\"kid\":1}", claims);
    AUTO_FREE char *long_header = text_of("{\"alg\":\"RS256\",\"kid\":\"%0200d\"}", 1);
    AUTO_FREE char *long_kid = token_sign(key_one, long_header, claims);
    (void)state;
    assert_refused(auth, other, "the token's key is unknown");
    assert_refused(auth, none, "the token names no key");
    assert_refused(auth, number, "the token names no key");
    assert_refused(auth, long_kid, "the token names no key");
    auth_free(auth);
}

/* Claims with a text of the proper ones replaced by another. */
static char *claims_but(const char *proper, const char *instead)
{
    AUTO_FREE char *claims = token_claims(7, "USER", 60);
    char *found = strstr(claims, proper);
    assert_non_null(found);
    return text_of("%.*s%s%s", (int)(found - claims), claims, instead, found + strlen(proper));
}

static void refuses_wrong_claims(void **state)
{
    static const char subject[] = "the token's subject is not a user id";
    static const char audience[] = "the token is for another audience";
    static const char issuer[] = "the token is from another issuer";
    static const char role[] = "the token's role is unknown";
    static const char name[] = "the token names no user";
    static const struct {
        const char *proper, *instead, *reason;
    } cases[] = {
        {"\"sub\":\"7\"", "\"sub\":7", subject},
        {"\"sub\":\"7\"", "\"sub\":\"\"", subject},
        {"\"sub\":\"7\"", "\"sub\":\"0\"", subject},
        {"\"sub\":\"7\"", "\"sub\":\"-7\"", subject},
        {"\"sub\":\"7\"", "\"sub\":\"+7\"", subject},
        {"\"sub\":\"7\"", "\"sub\":\"07\"", subject},
        {"\"sub\":\"7\"", "\"sub\":\" 7\"", subject},
        {"\"sub\":\"7\"", "\"sub\":\"7/../8\"", subject},
        {"\"sub\":\"7\"", "\"sub\":\"9223372036854775808\"", subject},
        {"\"sub\":\"7\"", "\"sub\":\"99999999999999999999\"", subject},
        {"\"sub\":\"7\"", "\"sub\":null", subject},
        {"\"sub\"", "\"subject\"", subject},
        {"\"iss\":\"" TEST_ISSUER, "\"iss\":\"http://evil.test", issuer},
        {"\"iss\":\"" TEST_ISSUER "\"", "\"iss\":null", issuer},
        {"\"iss\"", "\"issuer\"", issuer},
        {"\"aud\":\"" TEST_AUDIENCE, "\"aud\":\"http://evil.test", audience},
        {"\"aud\":\"" TEST_AUDIENCE "\"", "\"aud\":[\"http://evil.test\",1]", audience},
        {"\"aud\":\"" TEST_AUDIENCE "\"", "\"aud\":{}", audience},
        {"\"aud\"", "\"audience\"", audience},
        {"\"auth_role\":\"USER\"", "\"auth_role\":\"user\"", role},
        {"\"auth_role\":\"USER\"", "\"auth_role\":\"ADMINISTRATOR\"", role},
        {"\"auth_role\":\"USER\"", "\"auth_role\":[\"ADMIN\"]", role},
        {"\"auth_role\"", "\"role\"", role},
        {"\"auth_username\":\"bob\"", "\"auth_username\":1", name},
        {"\"auth_username\"", "\"name\"", name},
    };
    struct auth *auth = auth_with_key_one();
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO_FREE char *claims = claims_but(cases[i].proper, cases[i].instead);
        AUTO_FREE char *token = token_sign(key_one, HEADER_ONE, claims);
        assert_refused(auth, token, cases[i].reason);
    }
    AUTO_FREE char *list =
        claims_but("\"aud\":\"" TEST_AUDIENCE "\"", "\"aud\":[\"x\",\"" TEST_AUDIENCE "\"]");
    AUTO_FREE char *token = token_sign(key_one, HEADER_ONE, list);
    const char *reason = NULL;
    assert_int_equal(check(auth, token, &reason), 0);
    auth_free(auth);
}

static void refuses_wrong_times(void **state)
{
    static const char early[] = "the token is not valid yet", late[] = "the token has expired";
    int64_t now = (int64_t)time(NULL);
    const struct {
        const char *proper;
        char *instead;
        const char *reason; /* NULL: taken */
    } cases[] = {
        {"\"exp\":", text_of("\"exp\":%" PRId64 ",\"x\":", now - 6), late},
        {"\"exp\":", text_of("\"exp\":%" PRId64 ",\"x\":", now - 2), NULL}, /* the leeway */
        {"\"exp\":", text_of("\"exp\":0,\"x\":"), late},
        {"\"exp\":", text_of("\"exp\":-1,\"x\":"), late},
        {"\"exp\":", text_of("\"exp\":\"%" PRId64 "\",\"x\":", now + 60),
            "the token has no expiry"},
        {"\"exp\":", text_of("\"exp\":1e30,\"x\":"), "the token has no expiry"},
        {"\"exp\":", text_of("\"x\":"), "the token has no expiry"},
        {"\"iat\":", text_of("\"nbf\":%" PRId64 ",\"iat\":", now + 30), early},
        {"\"iat\":", text_of("\"nbf\":%" PRId64 ",\"iat\":", now + 2), NULL},
        {"\"iat\":", text_of("\"nbf\":\"soon\",\"iat\":"), early},
        {"\"iat\":", text_of("\"iat\":%" PRId64 ",\"x\":", now + 30), early},
        {"\"iat\":", text_of("\"x\":"), NULL}, /* optional */
    };
    struct auth *auth = auth_with_key_one();
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *reason = NULL;
        AUTO_FREE char *claims = claims_but(cases[i].proper, cases[i].instead);
        AUTO_FREE char *token = token_sign(key_one, HEADER_ONE, claims);
        assert_int_equal(check(auth, token, &reason), cases[i].reason ? -EACCES : 0);
        if (cases[i].reason)
            assert_string_equal(reason, cases[i].reason);
        free(cases[i].instead);
    }
    auth_free(auth);
}

static void refuses_huge_tokens(void **state)
{
    size_t size = (size_t)10 << 20;
    AUTO_FREE char *huge = malloc(size);
    struct auth *auth = auth_with_key_one();
    AUTO_FREE char *claims = text_of("{\"sub\":\"7\",\"x\":\"%09000d\"}", 1);
    AUTO_FREE char *signed_token = token_sign(key_one, HEADER_ONE, claims);
    (void)state;
    assert_non_null(huge);
    memset(huge, 'a', size - 1);
    huge[size - 1] = '\0';
    assert_refused(auth, huge, "the token is too long");
    assert_refused(auth, signed_token, "the token is too long");
    huge[8192] = '\0';
    assert_refused(auth, huge, "the token is malformed");
    auth_free(auth);
}

static void passes_over_keys_that_are_not_for_it(void **state)
{
    struct auth *auth = auth_with(NULL);
    EVP_PKEY *weak = token_key_new(1024);
    AUTO_FREE char *weak_jwk = token_jwk(weak, "weak", "");
    AUTO_FREE char *enc = token_jwk(key_one, "enc", ",\"use\":\"enc\"");
    AUTO_FREE char *rs512 = token_jwk(key_one, "rs512", ",\"alg\":\"RS512\"");
    AUTO_FREE char *good = token_jwk(key_one, "one", ",\"use\":\"sig\",\"alg\":\"RS256\"");
    AUTO_FREE char *impostor = token_jwk(key_two, "one", "");
    AUTO_FREE char *bad =
        text_of("{\"keys\":[1,null,{},{\"kty\":\"EC\",\"kid\":\"ec\"},"
                "{\"kty\":\"oct\",\"kid\":\"oct\",\"k\":\"AAAA\"},"
                "{\"kty\":\"RSA\",\"kid\":\"bad\",\"n\":\"!\",\"e\":\"AQAB\"},%s,%s,%s]}",
            weak_jwk, enc, rs512);
    AUTO_FREE char *mixed = text_of("{\"keys\":[%s,%s,%s]}", weak_jwk, good, impostor);
    AUTO_FREE char *claims = token_claims(7, "USER", 60);
    AUTO_FREE char *by_weak = token_sign(weak, "{\"alg\":\"RS256\",\"kid\":\"weak\"}", claims);
    AUTO_FREE char *by_impostor = token_sign(key_two, HEADER_ONE, claims);
    AUTO_FREE char *by_one = token_sign(key_one, HEADER_ONE, claims);
    const char *reason = NULL;
    (void)state;
    assert_int_equal(auth_set_jwks(auth, bad), -EINVAL);
    assert_int_equal(auth_set_jwks(auth, "{\"keys\":[]}"), -EINVAL);
    assert_int_equal(auth_set_jwks(auth, "[]"), -EINVAL);
    assert_int_equal(auth_set_jwks(auth, "not JSON"), -EINVAL);
    assert_false(auth_ready(auth));
    assert_int_equal(check(auth, by_one, &reason), -ENOTCONN);

    assert_int_equal(auth_set_jwks(auth, mixed), 0);
    assert_true(auth_ready(auth));
    assert_int_equal(check(auth, by_one, &reason), 0);
    assert_refused(auth, by_weak, "the token's key is unknown");
    assert_refused(auth, by_impostor, "the token's signature is wrong");
    EVP_PKEY_free(weak);
    auth_free(auth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_proper_token),
        cmocka_unit_test(needs_a_bearer_token),
        cmocka_unit_test(refuses_malformed_tokens),
        cmocka_unit_test(refuses_other_algorithms),
        cmocka_unit_test(refuses_critical_extensions),
        cmocka_unit_test(refuses_forged_signatures),
        cmocka_unit_test(refuses_unknown_keys),
        cmocka_unit_test(refuses_wrong_claims),
        cmocka_unit_test(refuses_wrong_times),
        cmocka_unit_test(refuses_huge_tokens),
        cmocka_unit_test(passes_over_keys_that_are_not_for_it),
    };
    log_init("test_auth", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
