/* Makes tokens: JWT, RS256, with the key that signs now. */
#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include "services/auth/credential.h"
#include "shared/http/http.h"

/* Replies {code:200, token, expire} with a fresh token for `credential`; returns the status. */
int token_reply(struct http_request *request, const struct credential *credential);

#endif
