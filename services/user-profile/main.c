/* user-profile: a user's contact data. Consumes user.created, publishes user.profilechanged. */
#include "services/user-profile/profile.h"
#include "shared/service/service.h"

static const struct http_route ROUTES[] = {
    {"GET", "/profiles/by-user-id/{id}", HTTP_OWNER, profile_get},
    {"POST", "/profiles/by-user-id/{id}", HTTP_OWNER, profile_change},
};

static const struct inbox_route INBOX[] = {
    {"user.created", profile_on_user_created},
};

int main(int argc, char **argv)
{
    static const struct service SERVICE = {
        .name = "user-profile",
        .port = 8000,
        .routes = ROUTES,
        .route_count = ARRAY_SIZE(ROUTES),
        .inbox = INBOX,
        .inbox_count = ARRAY_SIZE(INBOX),
        .schema = &sql_user_profile,
        .publishes = true,
    };

    return service_main(&SERVICE, argc, argv);
}
