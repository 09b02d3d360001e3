/* What every program tells of itself: build_info and the process metrics that Prometheus clients
 * agree on. */
#ifndef SHARED_METRICS_PROCESS_H
#define SHARED_METRICS_PROCESS_H

/* Registers them; further calls do nothing. `program` is borrowed for ever. */
void metrics_process(const char *program);

#endif
