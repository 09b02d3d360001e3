/* auth: login and password data, and the tokens that all services check. Publishes user.created,
 * admin.created and user.passwordchanged. */
#include "services/auth/handlers.h"
#include "services/auth/keys.h"
#include "services/auth/password.h"
#include "services/auth/settings.h"
#include "shared/base/log.h"
#include "shared/service/service.h"

static int start(struct db_pool *pool, struct auth *auth, bool init)
{
    const struct auth_service_settings *settings = &auth_service_settings;
    int ret;

    keys_configure(pool, auth);
    verify_configure(auth);
    if (init)
        return keys_refresh();
    ret = password_init(&(struct password_settings){
        .memory_kib = (uint32_t)settings->argon2_memory_kib,
        .passes = (uint32_t)settings->argon2_passes,
        .lanes = (uint32_t)settings->argon2_lanes,
        .at_once = (unsigned)settings->hashes_at_once,
        .wait_ms = (int)settings->hash_wait_ms,
    });
    if (ret < 0) {
        log_error("passwords can't be hashed with these parameters", LOG_INT("errno", -ret));
        return ret;
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
            {"POST", "/login", HTTP_OPEN, login},
            {"GET", "/refresh-token", HTTP_TOKEN, refresh_token},
            {"POST", "/change-password", HTTP_TOKEN, change_password},
            {"GET", "/users/{id}", HTTP_OWNER, user_get},
            {"GET", "/jwk", HTTP_OPEN, jwk_get},
            {"GET", "/verify", HTTP_OPEN, verify},
        },
};

int main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
