/* The gateway's first check of a token. */
#ifndef AUTH_VERIFY_H
#define AUTH_VERIFY_H

#include "shared/http/auth.h"
#include "shared/http/http.h"

/* GET /verify -> {}, with X-Auth-Sub, X-Auth-Exp and X-Auth-Role. Checks Authorization and the role
 * that the header X-Required-Role names (USER, ADMIN or ANY), without the database. */
http_handler verify_token;

/* By which keys tokens are checked; borrowed. To be called before the first request. */
void verify_configure(struct auth *auth);

#endif
