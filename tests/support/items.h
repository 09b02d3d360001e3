/* Tables for tests of the pool and its transactions, in a database of their own: `item`, `part`
 * that refers to it, raise_error(sqlstate), and `deadly`, whose trigger ends the session in COMMIT.
 */
#ifndef TESTS_SUPPORT_ITEMS_H
#define TESTS_SUPPORT_ITEMS_H

#include "shared/db/db.h"

#define ITEMS_TIMEOUT_MS 500 /* of the pools, to get a connection */

extern char *items_conninfo;

/* Set-up and tear-down of a group of tests. */
int items_start(void **state);
int items_stop(void **state);

struct db_pool *items_pool(int size);
long items_count(void);

/* The work of a transaction: adds one that is named by the context, a text. */
int items_add(struct db *tx, void *context);

#endif
