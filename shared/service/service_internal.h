/* What the files of service_main share: the settings that all services have in common. */
#ifndef SHARED_SERVICE_INTERNAL_H
#define SHARED_SERVICE_INTERNAL_H

#include "shared/service/service.h"

struct service_settings {
    char *mode;
    char *listen_address;
    int64_t port;
    char *database_url;
    int64_t db_pool_size;
    int64_t db_acquire_timeout_ms;
    int64_t init_timeout_ms;
    char *jwks_url; /* NULL where the service makes the keys itself */
    char *jwt_issuer;
    char *jwt_audience;
    char *webhook_secrets; /* NULL where the service consumes nothing */
    bool demo_data;
    int64_t max_body_bytes;
    int64_t max_connections;
    int64_t idle_timeout_s;
    int64_t shutdown_timeout_ms;
    char *log_level;
};

#define SERVICE_MAX_SETTINGS 20

/* Those of the common settings that the service has, with its own default of PORT. */
struct service_table {
    struct setting rows[SERVICE_MAX_SETTINGS];
    size_t count;
    char port[8];
};

/* `table` must stay where it is: its rows point into it. */
void service_table_fill(struct service_table *table, const struct service *service);

/* How many events the service handles. */
size_t service_event_count(const struct service *service);

#endif
