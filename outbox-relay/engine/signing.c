/* See signing.h. */
#include "outbox-relay/engine/signing.h"
#include "outbox-relay/engine/secret.h"
#include "shared/base/log.h"
#include "shared/base/webhook.h"

#include <errno.h>
#include <string.h>

#define RETRY_MS INT64_C(10000)

static void log_problem(const struct subscription *s, int problem, const char *reference)
{
    if (problem == 0) {
        log_info("signing secret is readable again", LOG_TEXT("source", s->source->name),
            LOG_TEXT("subscription", s->name));
        return;
    }
    log_error(s->signing.signer ? "cannot read one of two signing secrets; signing with the other"
                                : "no usable signing secret; nothing is sent",
        LOG_TEXT("source", s->source->name), LOG_TEXT("subscription", s->name),
        LOG_TEXT("secret", strncmp(reference, "whsec_", 6) == 0 ? "in the database" : reference),
        LOG_TEXT("error", problem == -EINVAL ? "not whsec_ and the base64 of 24 to 64 bytes"
                                             : strerror(-problem)));
}

int64_t signing_apply(struct subscription *s, const PGresult *rows)
{
    struct webhook_key keys[WEBHOOK_SIGNER_KEYS];
    size_t count = 0;
    int64_t ends_ms = -1;
    int problem = 0;
    const char *reference = "";
    for (int row = 0; row < PQntuples(rows) && count < WEBHOOK_SIGNER_KEYS; row++) {
        if (strcmp(PQgetvalue(rows, row, 0), s->name) != 0)
            continue;
        int ret = secret_resolve(PQgetvalue(rows, row, 1), &keys[count]);
        if (ret < 0) {
            problem = ret;
            reference = PQgetvalue(rows, row, 1);
            continue;
        }
        count++;
        int64_t left = PQgetisnull(rows, row, 2) ? -1 : strtoll(PQgetvalue(rows, row, 2), NULL, 10);
        if (left >= 0 && (ends_ms < 0 || left < ends_ms))
            ends_ms = left;
    }
    webhook_signer_free(s->signing.signer);
    s->signing.signer = count ? webhook_signer_new(keys, count) : NULL;
    explicit_bzero(keys, sizeof(keys));
    if (!s->signing.signer && problem == 0)
        problem = -ENOKEY;
    if (problem != s->signing.problem)
        log_problem(s, problem, reference);
    s->signing.problem = problem;
    /* Whoever mends a file tells nobody. */
    return problem && (ends_ms < 0 || ends_ms > RETRY_MS) ? RETRY_MS : ends_ms;
}
