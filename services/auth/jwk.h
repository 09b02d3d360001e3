/* The public halves of the signing keys. */
#ifndef AUTH_JWK_H
#define AUTH_JWK_H

#include "shared/http/http.h"

/* GET /jwk -> the JWKS document (RFC 7517). */
http_handler jwk_get;

#endif
