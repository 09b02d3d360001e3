/* Standard Webhooks signatures (https://www.standardwebhooks.com, v1): HMAC-SHA256 of
 * "id.timestamp.body" with a secret written whsec_<base64 of 24 to 64 bytes>. */
#ifndef SHARED_WEBHOOK_H
#define SHARED_WEBHOOK_H

#include "shared/base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

#define WEBHOOK_KEY_MAX 64
#define WEBHOOK_SIGNATURE_SIZE 48 /* "v1," + 44 base64 characters + NUL */
#define WEBHOOK_TOLERANCE_S 300

struct webhook_key {
    unsigned char bytes[WEBHOOK_KEY_MAX];
    size_t length;
};

/* Parses "whsec_…". Returns 0 or -EINVAL. */
MUST_CHECK int webhook_key_parse(const char *text, struct webhook_key *ret_key);

/* Makes a new random secret text of 32 bytes; the caller frees it. NULL: no randomness or memory.
 */
char *webhook_secret_new(void);

/* Writes "v1,<base64>". Returns 0 or -EIO. */
MUST_CHECK int webhook_sign(const struct webhook_key *key, const char *id, int64_t timestamp_s,
    const void *body, size_t length, char ret_signature[WEBHOOK_SIGNATURE_SIZE]);

/* The same for many requests with one key: keeps the key's HMAC state, so that a signature costs
 * the hashing of its input and no more. Not thread-safe: one for each thread or event loop. */
struct webhook_signer {
    struct evp_mac_ctx_st *mac; /* EVP_MAC_CTX */
};

/* Returns 0 or -EIO; release with webhook_signer_release. The key is not kept. */
MUST_CHECK int webhook_signer_init(struct webhook_signer *signer, const struct webhook_key *key);
void webhook_signer_release(struct webhook_signer *signer); /* also one that is all zero */

MUST_CHECK int webhook_signer_sign(struct webhook_signer *signer, const char *id,
    int64_t timestamp_s, const void *body, size_t length,
    char ret_signature[WEBHOOK_SIGNATURE_SIZE]);

/* Checks the three headers (NULL: absent) against any of the keys, in constant time for each.
 * `now_s` is Unix time. Returns 0, -EACCES (missing, malformed, no signature matches) or -ESTALE
 * (the timestamp is more than WEBHOOK_TOLERANCE_S off). */
MUST_CHECK int webhook_verify(const struct webhook_key *keys, size_t key_count, const char *id,
    const char *timestamp, const char *signatures, const void *body, size_t length, int64_t now_s);

#endif
