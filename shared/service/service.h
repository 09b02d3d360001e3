/* What every service's main has in common: settings, SERVICE_MODE, pool, auth, server, signals. A
 * service's main.c is one table, a struct service, and a call of service_main. */
#ifndef SHARED_SERVICE_H
#define SHARED_SERVICE_H

#include "shared/base/settings.h"
#include "shared/db/migrate.h"
#include "shared/http/auth.h"
#include "shared/http/http.h"
#include "shared/service/inbox.h"

#define SERVICE_MAX_ROUTES 16
#define SERVICE_MAX_EVENTS 16

struct service {
    const char *name; /* "order" */
    uint16_t port;    /* default of PORT */
    /* Both lists end with the last row that is filled. */
    struct http_route routes[SERVICE_MAX_ROUTES];
    struct inbox_route events[SERVICE_MAX_EVENTS]; /* handled; none: the service has no inbox */
    bool publishes;                                /* emits events: has an outbox */
    const struct migration_set *schema;            /* its own tables, after those of shared/ */
    const struct migration_set *demo;              /* applied when DEMO_DATA=true; NULL: none */
    const struct setting *settings;                /* the service's own; NULL: none */
    size_t setting_count;
    void *settings_target; /* static struct that the own settings fill */
    /* Called after migrations in INIT mode and before listening in SERVICE mode, may be NULL. A
     * negative return ends the program with exit status 1. `auth` may be given its JWKS here. */
    int (*start)(struct db_pool *pool, struct auth *auth, bool init);
    /* Called once the server has stopped, before `auth` and the pool are freed, when `start`
     * succeeded; joins the threads that `start` made. May be NULL. */
    void (*stop)(void);
    bool own_jwks; /* the service makes the keys itself: JWKS_URL is not fetched */
};

/* Runs the program: no argument: serve (or INIT by SERVICE_MODE); --help; --version;
 * --healthcheck (asks the running instance);
 * --settings-markdown. Exit status: 0 done or stopped by SIGTERM/SIGINT, 1 failed, 2 wrong use or
 * settings. Common settings: SERVICE_MODE (SERVICE|INIT), LISTEN_ADDRESS, PORT, DATABASE_URL (a
 * secret: DATABASE_URL_FILE), DB_POOL_SIZE, DB_ACQUIRE_TIMEOUT_MS, JWKS_URL, JWT_ISSUER,
 * JWT_AUDIENCE, WEBHOOK_SECRETS (a secret), DEMO_DATA, MAX_BODY_BYTES, MAX_CONNECTIONS,
 * SHUTDOWN_TIMEOUT_MS, LOG_LEVEL. In INIT mode the database is waited for (with backoff,
 * INIT_TIMEOUT_MS). In SERVICE mode the service starts without the database and answers 503 until
 * it is there. */
int service_main(const struct service *service, int argc, char **argv);

/* JWT_ISSUER and JWT_AUDIENCE, for the service that makes tokens: from `start` to the end. */
const char *service_jwt_issuer(void);
const char *service_jwt_audience(void);

#endif
