/* Secrets and single signatures of webhooks, for tests that need no more. */
#ifndef TESTS_SUPPORT_SIGN_H
#define TESTS_SUPPORT_SIGN_H

#include "shared/base/base64.h"
#include "shared/base/random.h"
#include "shared/base/webhook.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A secret of 32 random bytes; the caller frees it. */
static inline char *secret_new(void)
{
    unsigned char bytes[32];
    char encoded[BASE64_ENCODED_SIZE(sizeof(bytes))], *text = NULL;
    random_bytes(bytes, sizeof(bytes));
    base64_encode(bytes, sizeof(bytes), encoded);
    return asprintf(&text, "whsec_%s", encoded) < 0 ? NULL : text;
}

/* Writes "v1,<base64>" by the key. Returns 0, -ENOMEM or -EIO. */
static inline int sign_once(const struct webhook_key *key, const char *id, int64_t timestamp_s,
    const void *body, size_t length, char ret_signature[WEBHOOK_SIGNATURE_SIZE])
{
    char timestamp[24], signatures[WEBHOOK_SIGNATURES_SIZE];
    struct webhook_signer *signer = webhook_signer_new(key, 1);
    if (!signer)
        return -ENOMEM;
    snprintf(timestamp, sizeof(timestamp), "%" PRId64, timestamp_s);
    int ret = webhook_signer_sign(signer, id, timestamp, body, length, signatures);
    webhook_signer_free(signer);
    if (ret == 0)
        memcpy(ret_signature, signatures, strlen(signatures) + 1);
    return ret;
}

#endif
