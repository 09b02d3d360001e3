/* /metrics and /readyz of the relay: gathers the figures of all sources when asked. */
#ifndef RELAY_METRICS_H
#define RELAY_METRICS_H

#include "outbox-relay/source.h"

/* Declares the metrics; `sources` is borrowed until relay_metrics_stop(). */
void relay_metrics_start(struct source *const *sources, size_t count);
/* Figures are gathered no more: sources may be freed. */
void relay_metrics_stop(void);

/* For http_settings.ready: 0 when every source makes progress (as active relay or as standby). */
int relay_ready(char *reason, size_t size);

#endif
