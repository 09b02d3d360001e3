/* Reads JSON Web Key Sets and makes of each key one that libcrypto verifies with. */
#include "shared/http/jwks.h"
#include "shared/base/base64.h"
#include "shared/base/json.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define RSA_MIN_BITS 2048
#define RSA_MAX_BITS 8192
#define RSA_MAX_BYTES (RSA_MAX_BITS / 8 + 1)

/* The big-endian number in a member, such as "n". NULL when there is none. */
static BIGNUM *number_member(const json_t *jwk, const char *name)
{
    const char *text = json_string_value(json_object_get(jwk, name));
    unsigned char bytes[RSA_MAX_BYTES];
    size_t length = 0;
    if (!text || base64_decode(BASE64_URL, text, strlen(text), bytes, sizeof(bytes), &length) < 0)
        return NULL;
    return BN_bin2bn(bytes, (int)length, NULL);
}

static EVP_PKEY *rsa_from_numbers(const BIGNUM *n, const BIGNUM *e)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    if (context && builder && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e))
        params = OSSL_PARAM_BLD_to_param(builder);
    if (!params || EVP_PKEY_fromdata_init(context) <= 0 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        key = NULL;
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(context);
    return key;
}

static EVP_PKEY *rsa_from_jwk(const json_t *jwk)
{
    BIGNUM *n = number_member(jwk, "n");
    BIGNUM *e = number_member(jwk, "e");
    EVP_PKEY *key = NULL;
    if (n && e && BN_is_odd(n) && BN_num_bits(n) >= RSA_MIN_BITS &&
        BN_num_bits(n) <= RSA_MAX_BITS && BN_is_odd(e) && !BN_is_one(e) && BN_num_bits(e) <= 64)
        key = rsa_from_numbers(n, e);
    BN_free(n);
    BN_free(e);
    return key;
}

/* Absent, or exactly this. */
static bool member_allows(const json_t *jwk, const char *name, const char *wanted)
{
    const json_t *member = json_object_get(jwk, name);
    const char *text = json_string_value(member);
    return !member || (text && strcmp(text, wanted) == 0);
}

/* Returns 0, or -EINVAL when the key is not for us. */
static int read_key(const json_t *jwk, struct jwks_key *ret_key)
{
    const char *kty = json_string_value(json_object_get(jwk, "kty"));
    const char *kid = json_string_value(json_object_get(jwk, "kid"));
    if (!kty || strcmp(kty, "RSA") != 0 || !kid || !*kid || strlen(kid) >= JWKS_KID_SIZE)
        return -EINVAL;
    if (!member_allows(jwk, "use", "sig") || !member_allows(jwk, "alg", "RS256"))
        return -EINVAL;
    EVP_PKEY *key = rsa_from_jwk(jwk);
    if (!key)
        return -EINVAL;
    snprintf(ret_key->kid, sizeof(ret_key->kid), "%s", kid);
    ret_key->key = key;
    return 0;
}

int jwks_parse(const char *json, struct jwks *ret_jwks)
{
    AUTO_JSON json_t *document = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    const json_t *keys = json_object_get(document, "keys");
    if (!json_is_array(keys))
        return -EINVAL;
    struct jwks jwks = {.count = 0};
    size_t i;
    const json_t *jwk;
    json_array_foreach(keys, i, jwk)
    {
        if (jwks.count == JWKS_MAX_KEYS)
            break;
        struct jwks_key key;
        if (read_key(jwk, &key) < 0)
            continue;
        if (jwks_find(&jwks, key.kid))
            EVP_PKEY_free(key.key);
        else
            jwks.keys[jwks.count++] = key;
    }
    if (jwks.count == 0)
        return -EINVAL;
    *ret_jwks = jwks;
    return 0;
}

void jwks_release(struct jwks *jwks)
{
    for (size_t i = 0; i < jwks->count; i++)
        EVP_PKEY_free(jwks->keys[i].key);
    jwks->count = 0;
}

const struct jwks_key *jwks_find(const struct jwks *jwks, const char *kid)
{
    for (size_t i = 0; i < jwks->count; i++) {
        if (strcmp(jwks->keys[i].kid, kid) == 0)
            return &jwks->keys[i];
    }
    return NULL;
}

/* ---- fetching ---- */

struct document {
    char *text;
    size_t length;
};

static size_t receive(char *data, size_t unit, size_t count, void *context)
{
    struct document *document = context;
    size_t length = unit * count;
    if (document->length + length > JWKS_MAX_BYTES)
        return 0;
    memcpy(document->text + document->length, data, length);
    document->length += length;
    document->text[document->length] = '\0';
    return length;
}

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static CURLcode fetch(CURL *curl, const char *url, long timeout_ms, struct document *document)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms / 2);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, document);
    return curl_easy_perform(curl);
}

int jwks_fetch(
    const char *url, long timeout_ms, char **ret_json, char *ret_error, size_t error_size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_curl);
    AUTO_FREE char *text = malloc(JWKS_MAX_BYTES + 1);
    CURL *curl = curl_easy_init();
    if (!text || !curl) {
        curl_easy_cleanup(curl);
        snprintf(ret_error, error_size, "out of memory");
        return -ENOTCONN;
    }
    text[0] = '\0';
    struct document document = {.text = text};
    long status = 0;
    CURLcode code = fetch(curl, url, timeout_ms, &document);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK || status != 200) {
        snprintf(ret_error, error_size, "%s, HTTP status %ld", curl_easy_strerror(code), status);
        return -ENOTCONN;
    }
    *ret_json = text;
    text = NULL;
    return 0;
}
