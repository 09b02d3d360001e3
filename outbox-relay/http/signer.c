/* See signer.h. Uses OpenSSL's plain SHA-256 states, which can be copied by assignment: a context
 * of its newer interface costs several allocations for each signature. */
#define OPENSSL_API_COMPAT 0x10100000L
#include "outbox-relay/http/signer.h"
#include "shared/base/base64.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

struct signer {
    size_t count;
    struct {
        SHA256_CTX inner, outer;
    } keys[SIGNER_MAX_KEYS];
};

/* RFC 2104: the key is padded to a block and mixed with two constants. Keys are at most a block. */
static void start(SHA256_CTX *state, const struct webhook_key *key, unsigned char pad)
{
    unsigned char block[SHA256_CBLOCK];
    memset(block, pad, sizeof(block));
    for (size_t i = 0; i < key->length && i < sizeof(block); i++)
        block[i] ^= key->bytes[i];
    SHA256_Init(state);
    SHA256_Update(state, block, sizeof(block));
    OPENSSL_cleanse(block, sizeof(block));
}

struct signer *signer_new(const struct webhook_key *keys, size_t count)
{
    struct signer *signer = calloc(1, sizeof(*signer));
    if (!signer)
        return NULL;
    signer->count = count < SIGNER_MAX_KEYS ? count : SIGNER_MAX_KEYS;
    for (size_t i = 0; i < signer->count; i++) {
        start(&signer->keys[i].inner, &keys[i], 0x36);
        start(&signer->keys[i].outer, &keys[i], 0x5c);
    }
    return signer;
}

void signer_free(struct signer *signer)
{
    if (signer)
        OPENSSL_cleanse(signer, sizeof(*signer));
    free(signer);
}

void signer_sign(const struct signer *signer, const char *id, int64_t timestamp_s, const void *body,
    size_t length, char ret_text[SIGNER_TEXT_SIZE])
{
    char prefix[300];
    int prefix_length = snprintf(prefix, sizeof(prefix), "%s.%" PRId64 ".", id, timestamp_s);
    char *out = ret_text;
    *out = '\0';
    for (size_t i = 0; i < signer->count; i++) {
        unsigned char digest[SHA256_DIGEST_LENGTH];
        SHA256_CTX state = signer->keys[i].inner;
        SHA256_Update(&state, prefix, (size_t)prefix_length);
        SHA256_Update(&state, body, length);
        SHA256_Final(digest, &state);
        state = signer->keys[i].outer;
        SHA256_Update(&state, digest, sizeof(digest));
        SHA256_Final(digest, &state);
        memcpy(out, i ? " v1," : "v1,", i ? 4 : 3);
        out += i ? 4 : 3;
        base64_encode(digest, sizeof(digest), out);
        out += strlen(out);
    }
}
