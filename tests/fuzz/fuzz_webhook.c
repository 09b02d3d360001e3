/* Signatures of webhooks: accepted is just what was signed with one of the keys in good time.
 * Input: id, timestamp, signatures, body, with a NUL between them. The keys are new in each run; in
 * the signatures '$' stands for the right signature by the first key and '#' for that by the
 * second. */
#include "shared/base/base64.h"
#include "shared/base/webhook.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdbool.h>

#define NOW INT64_C(1800000000)
#define KEYS 2
#define SIGNATURE_TEXT BASE64_ENCODED_SIZE(32)

static struct webhook_key keys[KEYS];

struct message {
    char *id, *timestamp, *body;
    char right[KEYS][SIGNATURE_TEXT]; /* base64 of the HMAC */
};

static void make_keys(void)
{
    if (keys[0].length > 0)
        return;
    for (size_t i = 0; i < KEYS; i++) {
        keys[i].length = 32;
        REQUIRE(RAND_bytes(keys[i].bytes, 32) == 1);
    }
}

static void sign(struct message *message)
{
    AUTO_FREE char *text = NULL;
    int length = asprintf(&text, "%s.%s.%s", message->id, message->timestamp, message->body);
    REQUIRE(length >= 0);
    for (size_t i = 0; i < KEYS; i++) {
        unsigned char digest[32];
        REQUIRE(HMAC(EVP_sha256(), keys[i].bytes, (int)keys[i].length, (unsigned char *)text,
            (size_t)length, digest, NULL));
        base64_encode(digest, sizeof(digest), message->right[i]);
    }
}

static char *fill_in(const char *pattern, const struct message *message)
{
    char *text = malloc(strlen(pattern) * SIGNATURE_TEXT + 1), *to = text;
    REQUIRE(text);
    for (; *pattern; pattern++) {
        if (*pattern == '$')
            to = stpcpy(to, message->right[0]);
        else if (*pattern == '#')
            to = stpcpy(to, message->right[1]);
        else
            *to++ = *pattern;
    }
    *to = '\0';
    return text;
}

/* Whether "v1,<right>" is one of the words. */
static bool has_right_one(const char *signatures, const struct message *message)
{
    AUTO_FREE char *copy = strdup(signatures);
    char *rest = NULL;
    REQUIRE(copy);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        for (size_t i = 0; i < KEYS; i++)
            if (strncmp(word, "v1,", 3) == 0 && strcmp(word + 3, message->right[i]) == 0)
                return true;
    return false;
}

static bool is_in_time(const char *timestamp)
{
    long long time_s = strtoll(timestamp, NULL, 10);
    return time_s >= NOW - WEBHOOK_TOLERANCE_S && time_s <= NOW + WEBHOOK_TOLERANCE_S;
}

/* A signature that is right but for one bit is wrong. */
static void require_every_byte_counts(const struct message *message)
{
    static const size_t PLACES[] = {0, 15, 31};
    char signature[SIGNATURE_TEXT + 3] = "v1,";
    for (size_t i = 0; i < ARRAY_SIZE(PLACES); i++) {
        unsigned char digest[32];
        size_t length = 0;
        REQUIRE(base64_decode(BASE64_STANDARD, message->right[0], strlen(message->right[0]), digest,
                    sizeof(digest), &length) == 0);
        digest[PLACES[i]] ^= 1;
        base64_encode(digest, sizeof(digest), signature + 3);
        REQUIRE(webhook_verify(keys, KEYS, message->id, message->timestamp, signature,
                    message->body, strlen(message->body), NOW) == -EACCES);
    }
}

/* What the relay signs, the services accept. */
static void require_relay_agrees(const struct message *message)
{
    char signatures[WEBHOOK_SIGNATURES_SIZE], timestamp[24];
    struct webhook_signer *signer = webhook_signer_new(keys, KEYS);
    REQUIRE(signer);
    snprintf(timestamp, sizeof(timestamp), "%lld", (long long)NOW);
    size_t length = strlen(message->body);
    REQUIRE(webhook_signer_sign(
                signer, message->id, timestamp, message->body, length, signatures) == 0);
    for (size_t i = 0; i < KEYS; i++)
        REQUIRE(webhook_verify(&keys[i], 1, message->id, timestamp, signatures, message->body,
                    length, NOW) == 0);
    webhook_signer_free(signer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {(const char *)data, size};
    AUTO_FREE char *id = fuzz_text(&input);
    AUTO_FREE char *timestamp = fuzz_text(&input);
    AUTO_FREE char *pattern = fuzz_text(&input);
    AUTO_FREE char *body = fuzz_text(&input);
    struct message message = {.id = id, .timestamp = timestamp, .body = body};
    struct webhook_key parsed;
    make_keys();
    sign(&message);
    AUTO_FREE char *signatures = fill_in(pattern, &message);
    int ret = webhook_verify(keys, KEYS, id, timestamp, signatures, body, strlen(body), NOW);
    if (ret == 0)
        REQUIRE(*id && is_in_time(timestamp) && has_right_one(signatures, &message));
    require_every_byte_counts(&message);
    if (*id && strlen(id) <= 255)
        require_relay_agrees(&message);
    if (webhook_key_parse(body, &parsed) == 0)
        REQUIRE(parsed.length >= 24 && parsed.length <= WEBHOOK_KEY_MAX);
    return 0;
}
