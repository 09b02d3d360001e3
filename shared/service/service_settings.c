/* The settings that all services have in common. */
#include "shared/service/service_internal.h"

#include <string.h>

#define AT(field) offsetof(struct service_settings, field)

static const struct setting COMMON[] = {
    {"SERVICE_MODE", SETTING_TEXT, AT(mode), "SERVICE", 0, 0, NULL, "SERVICE|INIT",
        "INIT applies the migrations and exits; SERVICE serves."},
    {"LISTEN_ADDRESS", SETTING_TEXT, AT(listen_address), "127.0.0.1", 0, 0, NULL, NULL,
        "Address to listen on; 0.0.0.0 for all of IPv4, :: for IPv6."},
    {"PORT", SETTING_INT, AT(port), "", 0, 65535, NULL, NULL,
        "TCP port to listen on; 0 for any free one."},
    {"DATABASE_URL", SETTING_SECRET, AT(database_url), NULL, 0, 0, NULL, NULL,
        "PostgreSQL connection string: a URI, or keywords and values."},
    {"DB_POOL_SIZE", SETTING_INT, AT(db_pool_size), "10", 1, 200, "connections", NULL,
        "Maximum number of connections to the database."},
    {"DB_ACQUIRE_TIMEOUT_MS", SETTING_INT, AT(db_acquire_timeout_ms), "2000", 1, 60000, "ms", NULL,
        "How long a request waits for a free connection before it gets 503."},
    {"INIT_TIMEOUT_MS", SETTING_INT, AT(init_timeout_ms), "60000", 0, 3600000, "ms", NULL,
        "How long SERVICE_MODE=INIT waits for the database."},
    {"JWKS_URL", SETTING_TEXT, AT(jwks_url), "http://127.0.0.1:8001/jwk", 0, 0, NULL, NULL,
        "Where to fetch the public keys that verify tokens."},
    {"JWT_ISSUER", SETTING_TEXT, AT(jwt_issuer), "http://arch.homework", 0, 0, NULL, NULL,
        "The iss that a token must have."},
    {"JWT_AUDIENCE", SETTING_TEXT, AT(jwt_audience), "http://arch.homework", 0, 0, NULL, NULL,
        "The aud that a token must have."},
    {"WEBHOOK_SECRETS", SETTING_SECRET, AT(webhook_secrets), NULL, 0, 0, NULL, NULL,
        "Secrets of the subscriptions that call this service, separated by spaces or commas: "
        "order=whsec_… is good for events from that source, whsec_… for those from any. Not needed "
        "with SERVICE_MODE=INIT."},
    {"DEMO_DATA", SETTING_BOOL, AT(demo_data), "false", 0, 0, NULL, NULL,
        "Whether SERVICE_MODE=INIT also inserts demo data."},
    {"MAX_BODY_BYTES", SETTING_INT, AT(max_body_bytes), "1048576", 1024, 67108864, "bytes", NULL,
        "Maximum size of a request body; a larger one gets 413."},
    {"MAX_CONNECTIONS", SETTING_INT, AT(max_connections), "256", 1, 10000, "connections", NULL,
        "Maximum number of client connections; each has a thread, further ones are closed."},
    {"IDLE_TIMEOUT_S", SETTING_INT, AT(idle_timeout_s), "60", 1, 3600, "s", NULL,
        "How long a client connection may be idle; a request must arrive within twice that."},
    {"SHUTDOWN_TIMEOUT_MS", SETTING_INT, AT(shutdown_timeout_ms), "10000", 0, 600000, "ms", NULL,
        "How long requests in progress may take to end after SIGTERM."},
    {"LOG_LEVEL", SETTING_TEXT, AT(log_level), "info", 0, 0, NULL, "debug|info|warn|error",
        "Lowest level to log."},
};
_Static_assert(ARRAY_SIZE(COMMON) <= SERVICE_MAX_SETTINGS, "service_table.rows is too short");

size_t service_event_count(const struct service *service)
{
    size_t count = 0;
    while (count < SERVICE_MAX_EVENTS && service->events[count].handler)
        count++;
    return count;
}

static bool has(const struct service *service, const struct setting *setting)
{
    if (strcmp(setting->name, "JWKS_URL") == 0)
        return !service->own_jwks;
    if (strcmp(setting->name, "WEBHOOK_SECRETS") == 0)
        return service_event_count(service) > 0;
    if (strcmp(setting->name, "DEMO_DATA") == 0)
        return service->demo != NULL;
    return true;
}

void service_table_fill(struct service_table *table, const struct service *service)
{
    snprintf(table->port, sizeof table->port, "%u", (unsigned)service->port);
    table->count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(COMMON); i++) {
        if (!has(service, &COMMON[i]))
            continue;
        struct setting *row = &table->rows[table->count++];
        *row = COMMON[i];
        if (strcmp(row->name, "PORT") == 0)
            row->fallback = table->port;
    }
}
