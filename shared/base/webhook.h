/* Standard Webhooks signatures (https://www.standardwebhooks.com, v1): HMAC-SHA256 of
 * "id.timestamp.body" with a secret written whsec_<base64 of 24 to 64 bytes>. */
#ifndef SHARED_WEBHOOK_H
#define SHARED_WEBHOOK_H

#include "shared/base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

#define WEBHOOK_KEY_MAX 64
#define WEBHOOK_SIGNATURE_SIZE 48 /* "v1," + 44 base64 characters + a blank or NUL */
#define WEBHOOK_SIGNER_KEYS 2     /* as many as are valid while a secret is rotated */
#define WEBHOOK_SIGNATURES_SIZE (WEBHOOK_SIGNER_KEYS * WEBHOOK_SIGNATURE_SIZE)
#define WEBHOOK_TOLERANCE_S 300

struct webhook_key {
    unsigned char bytes[WEBHOOK_KEY_MAX];
    size_t length;
};

/* Parses "whsec_…". Returns 0 or -EINVAL. */
MUST_CHECK int webhook_key_parse(const char *text, struct webhook_key *ret_key);

/* Signs many requests with the same keys: keeps what depends on a key alone, so that a signature
 * costs the hashing of its input and little more. Not thread-safe: one for each event loop. */
struct webhook_signer;

/* With at most WEBHOOK_SIGNER_KEYS keys, which are not kept. NULL: no memory. */
struct webhook_signer *webhook_signer_new(const struct webhook_key *keys, size_t count);
void webhook_signer_free(struct webhook_signer *signer); /* accepts NULL */

/* Writes "v1,<base64>" for each key, separated by blanks, and NUL. `timestamp` is Unix time in
 * seconds, as it stands in the header. Returns 0 or -EIO. */
MUST_CHECK int webhook_signer_sign(struct webhook_signer *signer, const char *id,
    const char *timestamp, const void *body, size_t length,
    char ret_signatures[WEBHOOK_SIGNATURES_SIZE]);

/* Checks the three headers (NULL: absent) against any of the keys, in constant time for each.
 * `now_s` is Unix time. Returns 0, -EACCES (missing, malformed, no signature matches) or -ESTALE
 * (the timestamp is more than WEBHOOK_TOLERANCE_S off). */
MUST_CHECK int webhook_verify(const struct webhook_key *keys, size_t key_count, const char *id,
    const char *timestamp, const char *signatures, const void *body, size_t length, int64_t now_s);

#endif
