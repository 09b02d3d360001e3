/* The endpoints of the auth service, and what they share. */
#ifndef AUTH_HANDLERS_H
#define AUTH_HANDLERS_H

#include "shared/http/auth.h"
#include "shared/http/http.h"

/* register.c */
int register_user(struct http_request *request);  /* POST /register/init */
int register_admin(struct http_request *request); /* POST /register/init-admin */

/* login.c */
int login(struct http_request *request);         /* POST /login */
int refresh_token(struct http_request *request); /* GET /refresh-token */

/* change_password.c */
int change_password(struct http_request *request); /* POST /change-password */

/* lookup.c */
int user_get(struct http_request *request); /* GET /users/{id} */
int jwk_get(struct http_request *request);  /* GET /jwk: the JWKS document */

/* verify.c */
/* GET /verify, for the gateway's auth_request: checks Authorization and the role that the header
 * X-Required-Role names (USER, ADMIN or ANY). No database. */
int verify(struct http_request *request);
void verify_configure(struct auth *auth); /* borrowed; before the first request */

/* replies.c */
/* Replies for a negative errno of password.h, keys.h or db.h: 503 when it may pass, else 500. */
int reply_failure(struct http_request *request, int error);
/* Replies 401 with the challenge that RFC 9110 wants. */
int reply_unauthorized(struct http_request *request, const char *code, const char *detail);

/* secrets.c */
/* Overwrites a borrowed text of the request's body that held a secret. NULL is allowed. */
void wipe_text(const char *text);

/* Overwrites the raw body once it is parsed, since it holds a password. With an Idempotency-Key, a
 * fingerprint of the body will be stored: a fast hash of it could be guessed from, so a slow digest
 * takes the body's place, the same for the same body and key. Returns 0 or the status of the
 * problem it has replied with. */
MUST_CHECK int conceal_body(struct http_request *request);

#endif
