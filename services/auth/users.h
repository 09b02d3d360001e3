/* What others may know of a user. */
#ifndef AUTH_USERS_H
#define AUTH_USERS_H

#include "shared/http/http.h"

/* GET /users/{id} -> {id, username}. */
http_handler users_get;

#endif
