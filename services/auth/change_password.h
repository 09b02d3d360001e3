/* A user's new password. */
#ifndef AUTH_CHANGE_PASSWORD_H
#define AUTH_CHANGE_PASSWORD_H

#include "shared/http/http.h"

/* POST /change-password {oldPassword, newPassword} -> {}. Emits user.passwordchanged. 403: the old
 * password is wrong. */
http_handler change_password;

#endif
