/* /metrics and /readyz of the relay: gathers the metrics of all sources when asked. */
#ifndef RELAY_METRICS_PAGE_H
#define RELAY_METRICS_PAGE_H

#include "outbox-relay/engine/source.h"

/* Declares the metrics; `sources` is borrowed until metrics_page_stop(). */
void metrics_page_start(struct source *const *sources, size_t count);
/* Metrics are gathered no more: sources may be freed. */
void metrics_page_stop(void);

/* For http_settings.ready: 0 when every source makes progress (as active relay or as standby). */
int metrics_page_ready(char *reason, size_t size);

#endif
