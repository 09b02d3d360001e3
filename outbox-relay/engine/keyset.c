/* See keyset.h. Open addressing with linear probing and backward-shift deletion (Knuth, TAOCP 3,
 * 6.4, algorithm R). */
#include "outbox-relay/engine/keyset.h"

#include <string.h>

#define SMALLEST 16

void keyset_release(struct keyset *set)
{
    free(set->entries);
    *set = (struct keyset){0};
}

static size_t home(const struct keyset *set, uint64_t key)
{
    return (size_t)(key ^ key >> 29) & (set->capacity - 1);
}

struct keyset_entry *keyset_find(const struct keyset *set, uint64_t key)
{
    if (set->count == 0)
        return NULL;
    for (size_t i = home(set, key);; i = (i + 1) & (set->capacity - 1)) {
        struct keyset_entry *entry = &set->entries[i];
        if (!entry->used)
            return NULL;
        if (entry->key == key)
            return entry;
    }
}

static struct keyset_entry *insert(struct keyset *set, struct keyset_entry value)
{
    size_t i = home(set, value.key);
    while (set->entries[i].used)
        i = (i + 1) & (set->capacity - 1);
    set->entries[i] = value;
    set->count++;
    return &set->entries[i];
}

static void grow(struct keyset *set)
{
    struct keyset larger = {.capacity = set->capacity ? set->capacity * 2 : SMALLEST};
    larger.entries = calloc(larger.capacity, sizeof(struct keyset_entry));
    if (!larger.entries)
        abort();
    for (size_t i = 0; i < set->capacity; i++)
        if (set->entries[i].used)
            insert(&larger, set->entries[i]);
    free(set->entries);
    *set = larger;
}

struct keyset_entry *keyset_add(struct keyset *set, uint64_t key)
{
    struct keyset_entry *entry = keyset_find(set, key);
    if (entry)
        return entry;
    if (set->count * 2 >= set->capacity)
        grow(set);
    return insert(set, (struct keyset_entry){.key = key, .used = true});
}

static void remove_at(struct keyset *set, size_t hole)
{
    size_t mask = set->capacity - 1;
    set->entries[hole].used = false;
    set->count--;
    for (size_t i = (hole + 1) & mask; set->entries[i].used; i = (i + 1) & mask) {
        size_t wanted = home(set, set->entries[i].key);
        /* Stays when its home lies cyclically in (hole, i]. */
        if (((i - wanted) & mask) < ((i - hole) & mask))
            continue;
        set->entries[hole] = set->entries[i];
        set->entries[i].used = false;
        hole = i;
    }
}

static bool is_idle(const struct keyset_entry *entry)
{
    return entry->parked <= 0 && entry->parking <= 0;
}

void keyset_remove_if_idle(struct keyset *set, uint64_t key)
{
    struct keyset_entry *entry = keyset_find(set, key);
    if (entry && is_idle(entry))
        remove_at(set, (size_t)(entry - set->entries));
}

void keyset_forget_parked(struct keyset *set)
{
    for (size_t i = 0; i < set->capacity; i++)
        set->entries[i].parked = 0;
}

void keyset_sweep(struct keyset *set)
{
    for (size_t i = 0; i < set->capacity;) {
        if (set->entries[i].used && is_idle(&set->entries[i]))
            remove_at(set, i); /* another entry may have moved here */
        else
            i++;
    }
}
