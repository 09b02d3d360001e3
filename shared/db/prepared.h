/* The names of the statements that are prepared on a connection. */
#ifndef SHARED_PREPARED_H
#define SHARED_PREPARED_H

#include "shared/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

/* Open addressing, a power of two slots; all zero is an empty set. */
struct prepared {
    const char **slots; /* names, borrowed for ever (literals) */
    size_t capacity, count;
};

bool prepared_has(const struct prepared *set, const char *name);

/* Makes room for one more name, so that prepared_add can't fail after the server has prepared it.
 * Returns 0 or -ENOMEM. */
MUST_CHECK int prepared_reserve(struct prepared *set);
void prepared_add(struct prepared *set, const char *name);

void prepared_clear(struct prepared *set); /* keeps its memory */
void prepared_release(struct prepared *set);

#endif
