/* The keys of one subscription that are held back by a refused event, with how many of their events
 * are parked in outbox.delivery. A hash table; compared by the key's hash alone: should two keys
 * share their 64 bits, one waits for the other without need. */
#ifndef RELAY_KEYSET_H
#define RELAY_KEYSET_H

#include "shared/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keyset_entry {
    uint64_t key;
    int64_t parked;  /* rows known to be in outbox.delivery */
    int64_t parking; /* inserts sent and not yet committed */
    bool used;
};

struct keyset {
    struct keyset_entry *entries;
    size_t count, capacity; /* capacity: 0 or a power of two */
};

void keyset_release(struct keyset *set);

/* NULL when it is not there. Valid until the next keyset_add or keyset_remove. */
struct keyset_entry *keyset_find(const struct keyset *set, uint64_t key);
/* Finds or adds; aborts when out of memory (the number of keys is bounded by the caller). */
struct keyset_entry *keyset_add(struct keyset *set, uint64_t key);
/* Removes the key when nothing of it is parked or about to be. */
void keyset_remove_if_idle(struct keyset *set, uint64_t key);
/* Forgets what is parked, keeping what is about to be: before the table is loaded anew. */
void keyset_forget_parked(struct keyset *set);
/* Removes every key of which nothing is parked or about to be: after the table was loaded. */
void keyset_sweep(struct keyset *set);

#endif
