/* auth: login and password data, and the tokens that all services check. */
#include "services/auth/change_password.h"
#include "services/auth/jwk.h"
#include "services/auth/keys.h"
#include "services/auth/login.h"
#include "services/auth/password.h"
#include "services/auth/register.h"
#include "services/auth/settings.h"
#include "services/auth/users.h"
#include "services/auth/verify.h"
#include "shared/base/log.h"
#include "shared/service/service.h"

static int start(struct db_pool *pool, struct auth *auth, bool init)
{
    keys_configure(pool, auth);
    verify_configure(auth);
    if (init)
        return keys_refresh();
    const struct auth_service_settings *settings = &auth_service_settings;
    int error = password_init(&(struct password_settings){
        .memory_kib = (uint32_t)settings->argon2_memory_kib,
        .passes = (uint32_t)settings->argon2_passes,
        .lanes = (uint32_t)settings->argon2_lanes,
        .at_once = (unsigned)settings->hashes_at_once,
        .wait_ms = (int)settings->hash_wait_ms,
    });
    if (error < 0) {
        log_error("cannot hash passwords with these parameters", LOG_INT("errno", -error));
        return error;
    }
    return keys_start();
}

static const struct service SERVICE = {
    .name = "auth",
    .port = 8001,
    .schema = &sql_auth,
    .publishes = true,
    .settings = AUTH_SETTINGS,
    .setting_count = AUTH_SETTING_COUNT,
    .settings_target = &auth_service_settings,
    .start = start,
    .stop = keys_stop,
    .own_jwks = true,
    .routes =
        {
            {"POST", "/register/init", HTTP_OPEN, register_user},
            {"POST", "/register/init-admin", HTTP_OPEN, register_admin},
            {"POST", "/login", HTTP_OPEN, login_by_password},
            {"GET", "/refresh-token", HTTP_TOKEN, login_refresh},
            {"POST", "/change-password", HTTP_TOKEN, change_password},
            {"GET", "/users/{id}", HTTP_OWNER, users_get},
            {"GET", "/jwk", HTTP_OPEN, jwk_get},
            {"GET", "/verify", HTTP_OPEN, verify_token},
        },
};

int main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
