/* user-profile: users' contact data. */
#include "services/user-profile/profile.h"
#include "shared/service/service.h"

static const struct service SERVICE = {
    .name = "user-profile",
    .port = 8000,
    .schema = &sql_user_profile,
    .publishes = true,
    .routes =
        {
            {"GET", "/profiles/by-user-id/{id}", HTTP_OWNER, profile_get},
            {"POST", "/profiles/by-user-id/{id}", HTTP_OWNER, profile_change},
        },
    .events =
        {
            {"user.created", profile_on_user_created},
        },
};

int main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
