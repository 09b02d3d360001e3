/* The auth service's own settings. */
#include "services/auth/settings.h"

#define OFFSET(field) offsetof(struct auth_service_settings, field)

struct auth_service_settings auth_service_settings;

/* The floors of Argon2id are OWASP's first choice (Password Storage Cheat Sheet): 19 MiB, 2
 * passes, 1 lane. */
const struct setting AUTH_SETTINGS[AUTH_SETTING_COUNT] = {
    {"ADMIN_REGISTRATION", SETTING_TEXT, OFFSET(admin_registration), .fallback = "closed",
        .choices = "open|closed",
        .help = "Whether POST /register/init-admin creates administrators."},
    {"JWT_TTL_S", SETTING_INT, OFFSET(jwt_ttl_s), .fallback = "3600", .min = 10, .max = 86400,
        .unit = "s", .help = "How long a token is valid."},
    {"JWT_KEY_RELOAD_S", SETTING_INT, OFFSET(key_reload_s), .fallback = "10", .min = 1, .max = 60,
        .unit = "s",
        .help = "How often the signing keys are reloaded; a new key is published for twice as long "
                "before it signs."},
    {"JWT_KEY_ROTATION_DAYS", SETTING_INT, OFFSET(key_rotation_days), .fallback = "90", .max = 3650,
        .unit = "days",
        .help = "Age at which the signing key is replaced by a new one; 0 for never."},
    {"ARGON2_MEMORY_KIB", SETTING_INT, OFFSET(argon2_memory_kib), .fallback = "19456", .min = 19456,
        .max = 1048576, .unit = "KiB",
        .help = "Memory for one password hash; if it changes, passwords are rehashed at login."},
    {"ARGON2_PASSES", SETTING_INT, OFFSET(argon2_passes), .fallback = "2", .min = 2, .max = 64,
        .help = "Passes over that memory."},
    {"ARGON2_LANES", SETTING_INT, OFFSET(argon2_lanes), .fallback = "1", .min = 1, .max = 16,
        .help = "Lanes (and threads) for one password hash."},
    {"PASSWORD_HASHES_AT_ONCE", SETTING_INT, OFFSET(hashes_at_once), .fallback = "2", .min = 1,
        .max = 64,
        .help = "Maximum number of password hashes at a time; bounds memory and processor use."},
    {"PASSWORD_HASH_WAIT_MS", SETTING_INT, OFFSET(hash_wait_ms), .fallback = "2000", .min = 10,
        .max = 30000, .unit = "ms",
        .help = "How long a request waits for its turn before it gets 503."},
};
