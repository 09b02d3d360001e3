/* Signed tokens in compact form, checked and made by RS256. */
#include "shared/http/jws.h"
#include "shared/base/base64.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#define HEADER_MAX_BYTES 1024

/* Decodes into memory that the caller frees. NULL: malformed or out of memory. */
static char *decode(const char *text, size_t length, size_t *ret_length)
{
    char *bytes = malloc(length + 1);
    if (bytes && base64_decode(BASE64_URL, text, length, bytes, length, ret_length) == 0)
        return bytes;
    free(bytes);
    return NULL;
}

static json_t *decode_object(const char *text, size_t length)
{
    size_t size = 0;
    AUTO_FREE char *json = decode(text, length, &size);
    json_t *value = json ? json_loadb(json, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (json_is_object(value))
        return value;
    json_decref(value);
    return NULL;
}

int jws_parse(const char *text, struct jws *ret_jws)
{
    const char *first = strchr(text, '.');
    const char *second = first ? strchr(first + 1, '.') : NULL;
    if (!second || first - text > BASE64_ENCODED_SIZE(HEADER_MAX_BYTES))
        return -EINVAL;
    struct jws jws = {
        .text = text,
        .signed_length = (size_t)(second - text),
        .payload = first + 1,
        .payload_length = (size_t)(second - first - 1),
    };
    if (base64_decode(BASE64_URL, second + 1, strlen(second + 1), jws.signature,
            sizeof(jws.signature), &jws.signature_length) < 0)
        return -EINVAL;
    jws.header = decode_object(text, (size_t)(first - text));
    if (!jws.header)
        return -EINVAL;
    *ret_jws = jws;
    return 0;
}

void jws_release(struct jws *jws)
{
    json_decref(jws->header);
    jws->header = NULL;
}

bool jws_verify_rs256(const struct jws *jws, EVP_PKEY *key)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool valid = context && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                 EVP_DigestVerify(context, jws->signature, jws->signature_length,
                     (const unsigned char *)jws->text, jws->signed_length) == 1;
    EVP_MD_CTX_free(context);
    return valid;
}

json_t *jws_payload(const struct jws *jws)
{
    return decode_object(jws->payload, jws->payload_length);
}

/* *length is the room for the signature, and then its length. */
static bool sign(
    EVP_PKEY *key, const char *text, size_t text_length, unsigned char *signature, size_t *length)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_signed =
        context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(context, signature, length, (const unsigned char *)text, text_length) == 1;
    EVP_MD_CTX_free(context);
    return is_signed;
}

char *jws_sign_rs256(const char *header, const char *payload, EVP_PKEY *key)
{
    size_t header_length = strlen(header), payload_length = strlen(payload);
    AUTO_FREE char *text =
        malloc(BASE64_ENCODED_SIZE(header_length) + BASE64_ENCODED_SIZE(payload_length) +
               BASE64_ENCODED_SIZE(JWS_SIGNATURE_MAX_BYTES));
    if (!text)
        return NULL;
    base64url_encode(header, header_length, text);
    char *end = text + strlen(text);
    *end++ = '.';
    base64url_encode(payload, payload_length, end);
    end += strlen(end);

    unsigned char signature[JWS_SIGNATURE_MAX_BYTES];
    size_t signature_length = sizeof(signature);
    if (!sign(key, text, (size_t)(end - text), signature, &signature_length))
        return NULL;
    *end++ = '.';
    base64url_encode(signature, signature_length, end);
    char *token = text;
    text = NULL;
    return token;
}
