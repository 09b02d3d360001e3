/* Keeps passwords out of what the library makes of a request's body. */
#ifndef AUTH_CONCEAL_H
#define AUTH_CONCEAL_H

#include "shared/http/http.h"

/* Overwrites the raw body once it is parsed, since it holds a password. With an Idempotency-Key, a
 * fingerprint of the body will be stored: a fast hash of it could be guessed from, so a slow digest
 * takes the body's place, the same for the same body and key. Returns 0 or the status of the
 * problem replied with. */
MUST_CHECK int conceal_body(struct http_request *request);

#endif
