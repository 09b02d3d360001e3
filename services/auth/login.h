/* Tokens: for a password, or for a token that still holds. */
#ifndef AUTH_LOGIN_H
#define AUTH_LOGIN_H

#include "shared/http/http.h"

/* POST /login {username, password} -> {code: 200, token, expire}. 401: one of both is wrong. */
http_handler login_by_password;

/* GET /refresh-token -> as login. 401: the password was changed after the token was issued. */
http_handler login_refresh;

#endif
