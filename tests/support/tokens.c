/* Keys and tokens, put together by hand so that they can be wrong in any way. */
#include "tests/support/tokens.h"
#include "shared/base/base64.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

EVP_PKEY *token_key_new(unsigned int bits)
{
    EVP_PKEY *key = EVP_RSA_gen(bits);
    assert(key);
    return key;
}

static char *format(const char *text, ...) PRINTF_LIKE(1, 2);

static char *format(const char *text, ...)
{
    char *result = NULL;
    va_list arguments;
    va_start(arguments, text);
    int length = vasprintf(&result, text, arguments);
    va_end(arguments);
    assert(length >= 0);
    return result;
}

static char *base64url(const void *bytes, size_t length)
{
    char *text = malloc(BASE64_ENCODED_SIZE(length));
    assert(text);
    base64url_encode(bytes, length, text);
    return text;
}

static char *number(EVP_PKEY *key, const char *name)
{
    BIGNUM *value = NULL;
    unsigned char bytes[1024];
    int got = EVP_PKEY_get_bn_param(key, name, &value);
    assert(got == 1);
    int length = BN_bn2bin(value, bytes);
    BN_free(value);
    return base64url(bytes, (size_t)length);
}

char *token_jwk(EVP_PKEY *key, const char *kid, const char *more)
{
    AUTO_FREE char *n = number(key, OSSL_PKEY_PARAM_RSA_N);
    AUTO_FREE char *e = number(key, OSSL_PKEY_PARAM_RSA_E);
    return format("{\"kty\":\"RSA\",\"kid\":\"%s\",\"n\":\"%s\",\"e\":\"%s\"%s}", kid, n, e, more);
}

char *token_public_pem(EVP_PKEY *key)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *data = NULL;
    int written = PEM_write_bio_PUBKEY(memory, key);
    assert(written == 1);
    long length = BIO_get_mem_data(memory, &data);
    char *pem = strndup(data, (size_t)length);
    BIO_free(memory);
    return pem;
}

char *token_unsigned(const char *header, const char *claims)
{
    AUTO_FREE char *head = base64url(header, strlen(header));
    AUTO_FREE char *body = base64url(claims, strlen(claims));
    return format("%s.%s.", head, body);
}

char *token_sign(EVP_PKEY *key, const char *header, const char *claims)
{
    AUTO_FREE char *text = token_unsigned(header, claims);
    unsigned char signature[1024];
    size_t length = sizeof(signature);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int ok =
        EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) &&
        EVP_DigestSign(context, signature, &length, (const unsigned char *)text, strlen(text) - 1);
    assert(ok);
    EVP_MD_CTX_free(context);
    AUTO_FREE char *encoded = base64url(signature, length);
    return format("%s%s", text, encoded);
}

char *token_sign_hmac(const char *secret, const char *header, const char *claims)
{
    AUTO_FREE char *text = token_unsigned(header, claims);
    unsigned char signature[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text, strlen(text) - 1,
        signature, &length);
    AUTO_FREE char *encoded = base64url(signature, length);
    return format("%s%s", text, encoded);
}

char *token_claims(int64_t user_id, const char *role, int64_t seconds)
{
    int64_t now = (int64_t)time(NULL);
    return format("{\"auth_id\":%" PRId64 ",\"auth_username\":\"bob\",\"auth_role\":\"%s\","
                  "\"sub\":\"%" PRId64 "\",\"iss\":\"" TEST_ISSUER "\",\"aud\":\"" TEST_AUDIENCE
                  "\",\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}",
        user_id, role, user_id, now, now + seconds);
}

char *token_bearer(
    EVP_PKEY *key, const char *kid, int64_t user_id, const char *role, int64_t seconds)
{
    AUTO_FREE char *header = format("{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}", kid);
    AUTO_FREE char *claims = token_claims(user_id, role, seconds);
    AUTO_FREE char *token = token_sign(key, header, claims);
    return format("Bearer %s", token);
}
