/* The auth service's own settings, filled by service_main before `start`. */
#ifndef AUTH_SETTINGS_H
#define AUTH_SETTINGS_H

#include "shared/base/settings.h"

struct auth_service_settings {
    char *admin_registration; /* "open" or "closed" */
    int64_t jwt_ttl_s;
    int64_t key_reload_s;
    int64_t key_rotation_days; /* 0: never by itself */
    int64_t argon2_memory_kib;
    int64_t argon2_passes;
    int64_t argon2_lanes;
    int64_t hashes_at_once;
    int64_t hash_wait_ms;
};

#define AUTH_SETTING_COUNT 9

extern struct auth_service_settings auth_service_settings;
extern const struct setting AUTH_SETTINGS[AUTH_SETTING_COUNT];

#endif
