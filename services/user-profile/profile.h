/* The profile's endpoints and the events it follows. */
#ifndef USER_PROFILE_PROFILE_H
#define USER_PROFILE_PROFILE_H

#include "shared/http/http.h"
#include "shared/service/inbox.h"

/* GET /profiles/by-user-id/{id}: the profile, 404 while the user's event is still on its way. */
int profile_get(struct http_request *request);

/* POST /profiles/by-user-id/{id}: sets the fields that are given ("" clears one, an absent or null
 * one stays as it is; at least one must be given), also when there is no profile yet. Emits
 * user.profilechanged. */
int profile_change(struct http_request *request);

/* user.created: an empty profile, unless there is one. */
int profile_on_user_created(struct db *tx, struct inbox_event *event);

#endif
