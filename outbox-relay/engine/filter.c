/* See filter.h. */
#include "outbox-relay/engine/filter.h"

#include <string.h>

static bool pattern_matches(const char *pattern, size_t length, struct text type)
{
    if (length == 1 && *pattern == '*')
        return true;
    if (length >= 2 && pattern[length - 1] == '*' && pattern[length - 2] == '.')
        return type.length >= length - 1 && memcmp(pattern, type.data, length - 1) == 0;
    return type.length == length && memcmp(pattern, type.data, length) == 0;
}

bool filter_matches(const char *patterns, struct text type)
{
    const char *pattern = patterns;
    for (;;) {
        size_t length = strcspn(pattern, "\n");
        if (pattern_matches(pattern, length, type))
            return true;
        if (pattern[length] == '\0')
            return false;
        pattern += length + 1;
    }
}
