/* Profiles: a user's names, e-mail address and telephone number. */
#ifndef USER_PROFILE_PROFILE_H
#define USER_PROFILE_PROFILE_H

#include "shared/http/http.h"
#include "shared/service/inbox.h"

/* GET /profiles/by-user-id/{id} -> {profileId, userId, firstName, lastName, email, phone}. 404
 * while the user's event is still on its way. */
http_handler profile_get;

/* POST /profiles/by-user-id/{id} {firstName, lastName, email, phone} -> {eventId}. Sets the fields
 * that are given ("" clears one, an absent or null one stays as it is; at least one must be given),
 * also when there is no profile yet. Emits user.profilechanged. */
http_handler profile_change;

/* user.created: an empty profile, unless there is one. */
inbox_handler profile_on_user_created;

#endif
