/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef SHARED_UTF8_H
#define SHARED_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The length (1 to 4) of the character that the NUL-terminated text begins with; 0 when it is no
 * valid one. The terminating NUL itself counts as a character of length 1. */
size_t utf8_sequence(const char *text);

/* Whether all of a NUL-terminated text is valid; its characters are counted in *ret_count unless
 * that is NULL. */
bool utf8_valid(const char *text, size_t *ret_count);

/* How many bytes of a NUL-terminated text to keep so that they are at most `max` and no valid
 * character is cut in two. */
size_t utf8_cut(const char *text, size_t max);

#endif
