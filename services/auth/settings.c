/* The auth service's own settings. */
#include "services/auth/settings.h"

#define OFFSET(field) offsetof(struct auth_service_settings, field)

struct auth_service_settings auth_service_settings;

/* The floors of Argon2id are OWASP's first choice (Password Storage Cheat Sheet): 19 MiB, 2
 * passes, 1 lane. */
const struct setting AUTH_SETTINGS[] = {
    {"ADMIN_REGISTRATION", SETTING_TEXT, OFFSET(admin_registration), "closed", 0, 0, NULL,
        "open|closed", "Whether POST /register/init-admin makes administrators."},
    {"JWT_TTL_S", SETTING_INT, OFFSET(jwt_ttl_s), "3600", 10, 86400, "s", NULL,
        "How long a token is valid."},
    {"JWT_KEY_RELOAD_S", SETTING_INT, OFFSET(key_reload_s), "10", 1, 60, "s", NULL,
        "How often the signing keys are read again; a successor is published twice as long before "
        "it signs."},
    {"JWT_KEY_ROTATION_DAYS", SETTING_INT, OFFSET(key_rotation_days), "90", 0, 3650, "days", NULL,
        "Age at which the signing key gets a successor; 0 for never."},
    {"ARGON2_MEMORY_KIB", SETTING_INT, OFFSET(argon2_memory_kib), "19456", 19456, 1048576, "KiB",
        NULL, "Memory of one password hash; passwords are hashed anew at login when it changes."},
    {"ARGON2_PASSES", SETTING_INT, OFFSET(argon2_passes), "2", 2, 64, NULL, NULL,
        "Passes over the memory of one password hash."},
    {"ARGON2_LANES", SETTING_INT, OFFSET(argon2_lanes), "1", 1, 16, NULL, NULL,
        "Lanes (and threads) of one password hash."},
    {"PASSWORD_HASHES_AT_ONCE", SETTING_INT, OFFSET(hashes_at_once), "2", 1, 64, NULL, NULL,
        "Password hashes computed at the same time; bounds memory and processor use."},
    {"PASSWORD_HASH_WAIT_MS", SETTING_INT, OFFSET(hash_wait_ms), "2000", 10, 30000, "ms", NULL,
        "How long a request waits for its turn to hash before it gets 503."},
};
