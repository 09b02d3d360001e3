/* Password hashes: Argon2id (RFC 9106), at most N computed at once. */
#include "services/auth/password.h"

#include "shared/base/base64.h"
#include "shared/base/clock.h"
#include "shared/base/metrics.h"
#include "shared/base/sha256.h"

#include <argon2.h>
#include <errno.h>
#include <openssl/rand.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SALT_SIZE 16

static struct password_settings current;
static char stand_in[PASSWORD_HASH_SIZE]; /* verified against when the user is unknown */
static sem_t turns;
static struct metric *computed, *refused;

static int from_argon2(int error)
{
    if (error == ARGON2_OK)
        return 0;
    return error == ARGON2_MEMORY_ALLOCATION_ERROR ? -ENOMEM : -EIO;
}

/* Waits for a turn to compute. */
static int turn_begin(void)
{
    const struct timespec until = clock_timespec(clock_ms() + current.wait_ms);
    while (sem_clockwait(&turns, CLOCK_MONOTONIC, &until) != 0) {
        if (errno == EINTR)
            continue;
        metric_add(refused, NULL, 1);
        return -EBUSY;
    }
    return 0;
}

static void turn_end(void)
{
    metric_add(computed, NULL, 1);
    sem_post(&turns);
}

int password_hash(const char *password, char ret_hash[PASSWORD_HASH_SIZE])
{
    unsigned char salt[SALT_SIZE];
    if (RAND_bytes(salt, sizeof(salt)) != 1)
        return -EIO;
    int error = turn_begin();
    if (error < 0)
        return error;
    char hash[PASSWORD_HASH_SIZE] = "";
    error = from_argon2(argon2id_hash_encoded(current.passes, current.memory_kib, current.lanes,
        password, strlen(password), salt, sizeof(salt), PASSWORD_DIGEST_SIZE, hash, sizeof(hash)));
    turn_end();
    if (error < 0)
        return error;
    memcpy(ret_hash, hash, sizeof(hash));
    return 0;
}

int password_verify(const char *hash, const char *password, bool *ret_matches)
{
    int error = turn_begin();
    if (error < 0)
        return error;
    int outcome = argon2id_verify(hash ? hash : stand_in, password, strlen(password));
    turn_end();
    if (outcome != ARGON2_OK && outcome != ARGON2_VERIFY_MISMATCH)
        return from_argon2(outcome);
    *ret_matches = hash && outcome == ARGON2_OK;
    return 0;
}

bool password_hash_outdated(const char *hash)
{
    char expected[64];
    snprintf(expected, sizeof(expected), "$argon2id$v=%d$m=%u,t=%u,p=%u$", ARGON2_VERSION_NUMBER,
        current.memory_kib, current.passes, current.lanes);
    return strncmp(hash, expected, strlen(expected)) != 0;
}

int password_slow_digest(const void *data, size_t length, const char *context,
    unsigned char ret_digest[PASSWORD_DIGEST_SIZE])
{
    unsigned char salt[SHA256_SIZE];
    int error = sha256(context, strlen(context), salt);
    if (error == 0)
        error = turn_begin();
    if (error < 0)
        return error;
    unsigned char digest[PASSWORD_DIGEST_SIZE] = {0};
    error = from_argon2(argon2id_hash_raw(current.passes, current.memory_kib, current.lanes, data,
        length, salt, SALT_SIZE, digest, sizeof(digest)));
    turn_end();
    if (error < 0)
        return error;
    memcpy(ret_digest, digest, sizeof(digest));
    return 0;
}

/* A hash of random bytes as a password that nobody has. */
static int make_stand_in(void)
{
    unsigned char bytes[SALT_SIZE];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return -EIO;
    char text[BASE64_ENCODED_SIZE(sizeof(bytes))];
    base64_encode(bytes, sizeof(bytes), text);
    return password_hash(text, stand_in);
}

int password_init(const struct password_settings *settings)
{
    current = *settings;
    computed =
        metric_counter("auth_password_hashes", "Password hashes computed, for any purpose.", NULL);
    refused = metric_counter("auth_password_hashes_refused",
        "Requests that waited too long for their turn to hash a password.", NULL);
    if (sem_init(&turns, 0, current.at_once) != 0)
        return -errno;
    return make_stand_in();
}
