/* The signing keys: kept in signing_key, shared by all replicas, read again every JWT_KEY_RELOAD_S
 * seconds by a thread that also makes the first key and successors. Thread-safe. */
#ifndef AUTH_KEYS_H
#define AUTH_KEYS_H

#include "shared/base/cleanup.h"
#include "shared/db/db.h"
#include "shared/http/auth.h"

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */

/* Where the keys are and who checks tokens by them. Call first, once. Both are borrowed. */
void keys_configure(struct db_pool *pool, struct auth *auth);

/* Reads the keys once, making the first one or a successor where due. Errors of db.h; -ENOTCONN
 * while there is none. */
MUST_CHECK int keys_refresh(void);

/* Starts the thread that does so for ever; it waits for a database that is not there yet. Returns
 * 0 or a negative errno. */
MUST_CHECK int keys_start(void);

/* Stops and joins the thread, and wipes the keys. */
void keys_stop(void);

/* The key that signs now: *ret_kid to free, *ret_key to EVP_PKEY_free. -ENOTCONN: there is none
 * yet, -ENOMEM. */
MUST_CHECK int keys_signer(char **ret_kid, struct evp_pkey_st **ret_key);

/* Copies the JWKS document, to free. Errors as above. */
MUST_CHECK int keys_jwks(char **ret_jwks);

#endif
