/* What a webhook's signature costs by the ways that OpenSSL offers: HMAC-SHA256 of
 * "id.timestamp.body" with a key that stays the same. Prints a JSON array: for each way and length
 * of a body the processor time of one signature. */
#define OPENSSL_API_COMPAT 0x10100000L /* for the plain SHA-256 states */
#include "shared/base/cleanup.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SIGNATURES 50000 /* of each way */
#define DIGEST_SIZE 32

static const unsigned char KEY[32] = "a key that is as long as secrets";
static const char PREFIX[] = "01907f3e-4c5a-7b6d-8e9f-0a1b2c3d4e5f.1700000000.";
static char body[4096];

static struct {
    SHA256_CTX inner, outer;
    EVP_MD_CTX *md_inner, *md_outer, *md_scratch;
    EVP_MAC *hmac;
    EVP_MAC_CTX *mac, *fresh_mac; /* the latter is only duplicated */
} state;

/* RFC 2104: the key is padded to a block and mixed with two constants. */
static void pad_key(unsigned char block[64], unsigned char pad)
{
    memset(block, pad, 64);
    for (size_t i = 0; i < sizeof(KEY); i++)
        block[i] ^= KEY[i];
}

static void set_up(void)
{
    unsigned char block[64];
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MD *sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    state.md_inner = EVP_MD_CTX_new();
    state.md_outer = EVP_MD_CTX_new();
    state.md_scratch = EVP_MD_CTX_new();
    EVP_DigestInit_ex2(state.md_inner, sha256, NULL);
    EVP_DigestInit_ex2(state.md_outer, sha256, NULL);
    SHA256_Init(&state.inner);
    SHA256_Init(&state.outer);
    pad_key(block, 0x36);
    SHA256_Update(&state.inner, block, sizeof(block));
    EVP_DigestUpdate(state.md_inner, block, sizeof(block));
    pad_key(block, 0x5c);
    SHA256_Update(&state.outer, block, sizeof(block));
    EVP_DigestUpdate(state.md_outer, block, sizeof(block));
    state.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    state.mac = EVP_MAC_CTX_new(state.hmac);
    EVP_MAC_init(state.mac, KEY, sizeof(KEY), params);
    state.fresh_mac = EVP_MAC_CTX_dup(state.mac);
    EVP_MD_free(sha256);
}

/* Ways -------------------------------------------------------------------------------------------
 */

typedef void way(size_t length, unsigned char digest[DIGEST_SIZE]);

static void by_plain_states(size_t length, unsigned char digest[DIGEST_SIZE])
{
    SHA256_CTX sha = state.inner;
    SHA256_Update(&sha, PREFIX, sizeof(PREFIX) - 1);
    SHA256_Update(&sha, body, length);
    SHA256_Final(digest, &sha);
    sha = state.outer;
    SHA256_Update(&sha, digest, DIGEST_SIZE);
    SHA256_Final(digest, &sha);
}

static void by_copied_digests(size_t length, unsigned char digest[DIGEST_SIZE])
{
    EVP_MD_CTX *md = state.md_scratch;
    EVP_MD_CTX_copy_ex(md, state.md_inner);
    EVP_DigestUpdate(md, PREFIX, sizeof(PREFIX) - 1);
    EVP_DigestUpdate(md, body, length);
    EVP_DigestFinal_ex(md, digest, NULL);
    EVP_MD_CTX_copy_ex(md, state.md_outer);
    EVP_DigestUpdate(md, digest, DIGEST_SIZE);
    EVP_DigestFinal_ex(md, digest, NULL);
}

static void finish_mac(EVP_MAC_CTX *mac, size_t length, unsigned char digest[DIGEST_SIZE])
{
    size_t written;
    EVP_MAC_update(mac, (const unsigned char *)PREFIX, sizeof(PREFIX) - 1);
    EVP_MAC_update(mac, (const unsigned char *)body, length);
    EVP_MAC_final(mac, digest, &written, DIGEST_SIZE);
}

static void by_kept_mac(size_t length, unsigned char digest[DIGEST_SIZE])
{
    EVP_MAC_init(state.mac, NULL, 0, NULL); /* back to the state that the key left */
    finish_mac(state.mac, length, digest);
}

static void by_duplicated_mac(size_t length, unsigned char digest[DIGEST_SIZE])
{
    EVP_MAC_CTX *mac = EVP_MAC_CTX_dup(state.fresh_mac);
    finish_mac(mac, length, digest);
    EVP_MAC_CTX_free(mac);
}

static void by_new_mac(size_t length, unsigned char digest[DIGEST_SIZE])
{
    char name[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(state.hmac);
    EVP_MAC_init(mac, KEY, sizeof(KEY), params);
    finish_mac(mac, length, digest);
    EVP_MAC_CTX_free(mac);
}

static void by_one_call(size_t length, unsigned char digest[DIGEST_SIZE])
{
    static unsigned char text[sizeof(PREFIX) + sizeof(body)];
    memcpy(text, PREFIX, sizeof(PREFIX) - 1);
    memcpy(text + sizeof(PREFIX) - 1, body, length);
    HMAC(EVP_sha256(), KEY, sizeof(KEY), text, sizeof(PREFIX) - 1 + length, digest, NULL);
}

static const struct {
    const char *name;
    way *run;
} WAYS[] = {
    {"SHA256_CTX, copied by assignment", by_plain_states},
    {"EVP_MD_CTX, copied by EVP_MD_CTX_copy_ex", by_copied_digests},
    {"EVP_MAC_CTX, kept, begun again without a key", by_kept_mac},
    {"EVP_MAC_CTX, duplicated", by_duplicated_mac},
    {"EVP_MAC_CTX, new with the key", by_new_mac},
    {"HMAC(), in one call", by_one_call},
};

/* Measuring --------------------------------------------------------------------------------------
 */

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static double measure(way *run, size_t length)
{
    unsigned char digest[DIGEST_SIZE];
    int64_t began = cpu_ns();
    for (int i = 0; i < SIGNATURES; i++)
        run(length, digest);
    return (double)(cpu_ns() - began) / SIGNATURES;
}

static void require_same_digests(size_t length)
{
    unsigned char first[DIGEST_SIZE], digest[DIGEST_SIZE];
    WAYS[0].run(length, first);
    for (size_t i = 1; i < ARRAY_SIZE(WAYS); i++) {
        WAYS[i].run(length, digest);
        if (memcmp(first, digest, DIGEST_SIZE) == 0)
            continue;
        fprintf(stderr, "sign: %s: another signature\n", WAYS[i].name);
        exit(1);
    }
}

int main(void)
{
    static const size_t LENGTHS[] = {200, sizeof(body)};
    const char *separator = "[";
    memset(body, 'x', sizeof(body));
    set_up();
    for (size_t i = 0; i < ARRAY_SIZE(LENGTHS); i++) {
        require_same_digests(LENGTHS[i]);
        for (size_t j = 0; j < ARRAY_SIZE(WAYS); j++) {
            printf("%s{\"way\": \"%s\", \"length\": %zu, \"ns\": %.1f}", separator, WAYS[j].name,
                LENGTHS[i], measure(WAYS[j].run, LENGTHS[i]));
            separator = ",\n ";
        }
    }
    puts("]");
    return 0;
}
