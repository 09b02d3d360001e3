/* Rows of the table credential. */
#ifndef AUTH_CREDENTIAL_H
#define AUTH_CREDENTIAL_H

#include "services/auth/password.h"
#include "services/auth/username.h"
#include "shared/base/cleanup.h"
#include "shared/db/db.h"

#include <stdbool.h>
#include <stdint.h>

struct credential {
    int64_t id;
    char username[USERNAME_MAX_BYTES + 1];
    const char *role; /* "USER" or "ADMIN"; static */
    char password_hash[PASSWORD_HASH_SIZE];
    int64_t password_version;
    int64_t tokens_from_s; /* Unix time: a token with an earlier `iat` is older than the password */
};

/* Both read a credential. Errors of db.h; -ENOENT: there is none. */
MUST_CHECK int credential_find(
    struct db_pool *pool, const char *username, struct credential *ret_credential);
MUST_CHECK int credential_find_by_id(
    struct db_pool *pool, int64_t id, struct credential *ret_credential);

/* Replaces the hash of an unchanged password, unless someone else has changed it meanwhile. Errors
 * of db.h. */
MUST_CHECK int credential_rehash(
    struct db_pool *pool, const struct credential *credential, const char *new_hash);

#endif
