/* Standard Webhooks v1: https://github.com/standard-webhooks/standard-webhooks (spec). */
#include "shared/base/webhook.h"
#include "shared/base/base64.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define SECRET_PREFIX "whsec_"
#define KEY_MIN 24
#define DIGEST_SIZE 32
#define VERSION_PREFIX "v1,"
#define MAX_SIGNATURES 8 /* in one header: two while a secret is rotated, with room to spare */
#define MAX_TIMESTAMP_DIGITS 12
#define MAX_ID 255

int webhook_key_parse(const char *text, struct webhook_key *ret_key)
{
    size_t prefix = strlen(SECRET_PREFIX);
    if (strncmp(text, SECRET_PREFIX, prefix) != 0)
        return -EINVAL;
    struct webhook_key key = {.length = 0};
    if (base64_decode(BASE64_STANDARD, text + prefix, strlen(text + prefix), key.bytes,
            sizeof(key.bytes), &key.length) < 0 ||
        key.length < KEY_MIN) {
        OPENSSL_cleanse(&key, sizeof(key));
        return -EINVAL;
    }
    *ret_key = key;
    OPENSSL_cleanse(&key, sizeof(key));
    return 0;
}

/* HMAC -------------------------------------------------------------------------------------------
 * By EVP_MAC, with a context that is kept for each key. Its signature takes 0.3 us more of the
 * processor than one by OpenSSL's plain SHA-256 states, which are deprecated, and 1 to 2 us less
 * than one by a context that is made or duplicated each time; a delivery takes about 9 us. Measured
 * by `make bench ROW=signature`; see docs/benchmarks.md. */

/* The algorithm, looked up once for the program's life: the lookup costs more than a signature. */
static EVP_MAC *hmac;

static void fetch_hmac(void)
{
    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
}

/* NULL: no memory. */
static EVP_MAC_CTX *mac_new(const struct webhook_key *key)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fetch_hmac);
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC_CTX *mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    if (mac && EVP_MAC_init(mac, key->bytes, key->length, params))
        return mac;
    EVP_MAC_CTX_free(mac);
    return NULL;
}

static int compute(EVP_MAC_CTX *mac, const char *id, const char *timestamp, const void *body,
    size_t length, unsigned char ret_digest[DIGEST_SIZE])
{
    static const unsigned char dot[] = ".";
    size_t written = 0;
    /* Without a key, init goes back to the state that the key left. */
    bool ok = EVP_MAC_init(mac, NULL, 0, NULL) &&
              EVP_MAC_update(mac, (const unsigned char *)id, strlen(id)) &&
              EVP_MAC_update(mac, dot, 1) &&
              EVP_MAC_update(mac, (const unsigned char *)timestamp, strlen(timestamp)) &&
              EVP_MAC_update(mac, dot, 1) && EVP_MAC_update(mac, body, length) &&
              EVP_MAC_final(mac, ret_digest, &written, DIGEST_SIZE);
    return ok && written == DIGEST_SIZE ? 0 : -EIO;
}

/* Signing ----------------------------------------------------------------------------------------
 */

struct webhook_signer {
    size_t count;
    EVP_MAC_CTX *macs[WEBHOOK_SIGNER_KEYS];
};

struct webhook_signer *webhook_signer_new(const struct webhook_key *keys, size_t count)
{
    struct webhook_signer *signer = calloc(1, sizeof(*signer));
    if (!signer)
        return NULL;
    for (; signer->count < count && signer->count < WEBHOOK_SIGNER_KEYS; signer->count++) {
        signer->macs[signer->count] = mac_new(&keys[signer->count]);
        if (!signer->macs[signer->count]) {
            webhook_signer_free(signer);
            return NULL;
        }
    }
    return signer;
}

void webhook_signer_free(struct webhook_signer *signer)
{
    for (size_t i = 0; signer && i < signer->count; i++)
        EVP_MAC_CTX_free(signer->macs[i]);
    free(signer);
}

int webhook_signer_sign(struct webhook_signer *signer, const char *id, const char *timestamp,
    const void *body, size_t length, char ret_signatures[WEBHOOK_SIGNATURES_SIZE])
{
    char *out = ret_signatures;
    *out = '\0';
    for (size_t i = 0; i < signer->count; i++) {
        unsigned char digest[DIGEST_SIZE];
        if (compute(signer->macs[i], id, timestamp, body, length, digest) < 0)
            return -EIO;
        if (i > 0)
            *out++ = ' ';
        memcpy(out, VERSION_PREFIX, strlen(VERSION_PREFIX));
        out += strlen(VERSION_PREFIX);
        base64_encode(digest, sizeof(digest), out);
        out += strlen(out);
    }
    return 0;
}

/* Verifying --------------------------------------------------------------------------------------
 */

static int parse_timestamp(const char *text, int64_t *ret_timestamp)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > MAX_TIMESTAMP_DIGITS || text[digits] != '\0')
        return -EINVAL;
    *ret_timestamp = strtoll(text, NULL, 10);
    return 0;
}

struct signatures {
    unsigned char digests[MAX_SIGNATURES][DIGEST_SIZE];
    size_t count;
};

/* Takes the v1 signatures out of "v1,<base64> v1,<base64> v1a,…"; others are passed over, as the
 * specification wants it. */
static void parse_signatures(const char *text, struct signatures *ret_signatures)
{
    size_t count = 0;
    while (*text && count < MAX_SIGNATURES) {
        size_t length = strcspn(text, " ");
        size_t prefix = strlen(VERSION_PREFIX);
        size_t decoded = 0;
        if (length > prefix && memcmp(text, VERSION_PREFIX, prefix) == 0 &&
            base64_decode(BASE64_STANDARD, text + prefix, length - prefix,
                ret_signatures->digests[count], DIGEST_SIZE, &decoded) == 0 &&
            decoded == DIGEST_SIZE)
            count++;
        text += length;
        text += strspn(text, " ");
    }
    ret_signatures->count = count;
}

/* Whether one of the signatures is the key's. All are compared, whichever matches. */
static bool key_matches(const struct webhook_key *key, const char *id, const char *timestamp,
    const void *body, size_t length, const struct signatures *signatures)
{
    unsigned char digest[DIGEST_SIZE];
    EVP_MAC_CTX *mac = mac_new(key);
    int error = mac ? compute(mac, id, timestamp, body, length, digest) : -EIO;
    EVP_MAC_CTX_free(mac);
    if (error < 0)
        return false;
    bool matches = false;
    for (size_t i = 0; i < signatures->count; i++)
        matches |= CRYPTO_memcmp(digest, signatures->digests[i], DIGEST_SIZE) == 0;
    return matches;
}

int webhook_verify(const struct webhook_key *keys, size_t key_count, const char *id,
    const char *timestamp, const char *signatures, const void *body, size_t length, int64_t now_s)
{
    int64_t timestamp_s = 0;
    if (!id || !timestamp || !signatures || !*id || strlen(id) > MAX_ID)
        return -EACCES;
    if (parse_timestamp(timestamp, &timestamp_s) < 0)
        return -EACCES;
    struct signatures parsed = {.count = 0};
    parse_signatures(signatures, &parsed);
    bool matches = false;
    for (size_t i = 0; i < key_count && !matches; i++)
        matches = key_matches(&keys[i], id, timestamp, body, length, &parsed);
    if (!matches)
        return -EACCES;
    int64_t off_s = timestamp_s > now_s ? timestamp_s - now_s : now_s - timestamp_s;
    return off_s > WEBHOOK_TOLERANCE_S ? -ESTALE : 0;
}
