/* Standard Webhooks signatures at a high rate: the parts of HMAC-SHA256 that depend on the key
 * alone are worked out once. The format and its checks are those of shared/base/webhook.h. */
#ifndef RELAY_SIGNER_H
#define RELAY_SIGNER_H

#include "shared/base/webhook.h"

#define SIGNER_MAX_KEYS 2
/* One "v1,…" for each key, separated by blanks, and NUL. */
#define SIGNER_TEXT_SIZE (SIGNER_MAX_KEYS * WEBHOOK_SIGNATURE_SIZE)

struct signer;

struct signer *signer_new(const struct webhook_key *keys, size_t count); /* NULL: no memory */
void signer_free(struct signer *signer);                                 /* accepts NULL */

void signer_sign(const struct signer *signer, const char *id, int64_t timestamp_s, const void *body,
    size_t length, char ret_text[SIGNER_TEXT_SIZE]);

#endif
