/* The set of names of prepared statements. */
#include "shared/db/prepared.h"
#include "shared/base/hash.h"

#include <errno.h>
#include <string.h>

/* The slot that holds the name, or the empty one where it belongs. */
static size_t find_slot(const char *const *slots, size_t capacity, const char *name)
{
    size_t i = (size_t)hash_text(HASH_START, name) & (capacity - 1);
    while (slots[i] && strcmp(slots[i], name) != 0)
        i = (i + 1) & (capacity - 1);
    return i;
}

bool prepared_has(const struct prepared *set, const char *name)
{
    return set->capacity > 0 && set->slots[find_slot(set->slots, set->capacity, name)];
}

int prepared_reserve(struct prepared *set)
{
    if (2 * (set->count + 1) <= set->capacity)
        return 0;
    size_t capacity = set->capacity ? 2 * set->capacity : 32;
    const char **slots = calloc(capacity, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < set->capacity; i++) {
        if (set->slots[i])
            slots[find_slot(slots, capacity, set->slots[i])] = set->slots[i];
    }
    free(set->slots);
    set->slots = slots;
    set->capacity = capacity;
    return 0;
}

void prepared_add(struct prepared *set, const char *name)
{
    set->slots[find_slot(set->slots, set->capacity, name)] = name;
    set->count++;
}

void prepared_clear(struct prepared *set)
{
    if (set->slots)
        memset(set->slots, 0, set->capacity * sizeof(*set->slots));
    set->count = 0;
}

void prepared_release(struct prepared *set)
{
    free(set->slots);
    *set = (struct prepared){0};
}
