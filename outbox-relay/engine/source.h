/* One publishing database: its thread, its loop, its connections, its subscriptions.
 *
 * States: CONNECTING -> STANDBY -> LOADING -> ACTIVE -> STOPPING; anything that goes wrong leads
 * back to CONNECTING with all in memory dropped, as the database knows everything. */
#ifndef RELAY_SOURCE_H
#define RELAY_SOURCE_H

#include "shared/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

struct relay_settings;
struct source;
struct source_metrics;

/* Copies `name` and `conninfo`, borrows `settings`. Errors: -ENOMEM or what loop_new gave. */
MUST_CHECK int source_new(const char *name, const char *conninfo,
    const struct relay_settings *settings, struct source **ret_source);
/* Starts the thread. Errors: -EAGAIN. */
MUST_CHECK int source_start(struct source *source);
/* Asks it to stop; returns at once. */
void source_stop(struct source *source);
/* Waits for its end, when it was started, and frees all. */
void source_join(struct source *source, bool started);

const char *source_name(const struct source *source);
/* Microseconds after which a source that has shown no life is stuck. */
int64_t source_patience_us(const struct source *source);
/* May be read from any thread. */
struct source_metrics *source_metrics(struct source *source);

#endif
