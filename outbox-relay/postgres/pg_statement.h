/* A statement as a connection knows it. */
#ifndef RELAY_PG_STATEMENT_H
#define RELAY_PG_STATEMENT_H

#include <stdbool.h>

/* Prepared on each new connection under `name`; with an empty name it is parsed each time, which
 * needs no session state and so works through a transaction-pooling proxy. */
struct pg_statement {
    const char *name;
    const char *sql;
    int param_count;
    bool binary; /* results in binary format */
    bool begins; /* a transaction of its own kind: see pg_settings.prelude */
};

#endif
