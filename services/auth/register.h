/* Registration of users and administrators. */
#ifndef AUTH_REGISTER_H
#define AUTH_REGISTER_H

#include "shared/http/http.h"

/* POST /register/init {username, password} -> {id}. Emits user.created. 409: the name is taken. */
http_handler register_user;

/* POST /register/init-admin {username, password} -> {id}. Emits admin.created. 403 unless
 * ADMIN_REGISTRATION is open. */
http_handler register_admin;

#endif
