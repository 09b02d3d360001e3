/* Password hashes: Argon2id (RFC 9106) in PHC text form, at most N computed at once. Thread-safe
 * after password_init. A hash takes tens of milliseconds and must not be awaited inside a
 * transaction. */
#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include "shared/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

#define PASSWORD_HASH_SIZE 128 /* PHC text with 16 bytes of salt and 32 of digest, and NUL */
#define PASSWORD_DIGEST_SIZE 32
#define PASSWORD_MIN_CHARS 8
#define PASSWORD_MAX_CHARS 256

struct password_settings {
    uint32_t memory_kib;
    uint32_t passes;
    uint32_t lanes;
    unsigned at_once; /* hashes computed at the same time */
    int wait_ms;      /* for a turn */
};

/* Sets the parameters and makes the hash that stands in for the one of an unknown user. Returns 0,
 * -ENOMEM or -EIO (no randomness). Call once. */
MUST_CHECK int password_init(const struct password_settings *settings);

/* All below: -EBUSY when no turn came within wait_ms, -ENOMEM, -EIO. */

/* Hashes with a fresh salt. */
MUST_CHECK int password_hash(const char *password, char ret_hash[PASSWORD_HASH_SIZE]);

/* Compares. `hash` NULL: the user is unknown; costs the same and never matches. Returns 0 and the
 * result. */
MUST_CHECK int password_verify(const char *hash, const char *password, bool *ret_matches);

/* True when `hash` was made with other parameters than today's. */
bool password_hash_outdated(const char *hash);

/* A digest of any bytes that is as dear to guess from as a password hash, and the same each time
 * for the same bytes and context. */
MUST_CHECK int password_slow_digest(const void *data, size_t length, const char *context,
    unsigned char ret_digest[PASSWORD_DIGEST_SIZE]);

#endif
