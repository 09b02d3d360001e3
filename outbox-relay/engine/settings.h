/* Settings of `outbox-relay run`, from the environment; command line options override some. */
#ifndef RELAY_SETTINGS_H
#define RELAY_SETTINGS_H

#include "shared/base/settings.h"

struct relay_settings {
    char *sources;     /* NAME=CONNINFO entries, separated by newlines or ';' */
    char *listen;      /* ADDRESS:PORT, "off" for none */
    char *wake;        /* listen or poll */
    char *allow_hosts; /* space- or comma-separated; empty: any */
    char *proxy;       /* for callbacks; empty: none */
    char *ca_file;     /* for https callbacks; empty: the system's */
    char *log_level;
    int64_t lease_ttl_ms;
    int64_t poll_interval_ms; /* wake=poll: while idle */
    int64_t safety_poll_ms;   /* wake=listen: while asleep */
    int64_t shutdown_timeout_ms;
    int64_t connect_timeout_ms; /* of callbacks */
    int64_t connection_age_s;   /* of callbacks */
    int64_t breaker_base_ms, breaker_max_ms;
    int64_t max_parked_keys;
    int64_t buffer_bytes; /* of events, for each source */
    int64_t maintain_interval_s;
    char *adopt; /* no or moved: what to do where the outbox came from another database */
};

extern const struct setting RELAY_SETTINGS[];
extern const size_t RELAY_SETTINGS_COUNT;

#endif
