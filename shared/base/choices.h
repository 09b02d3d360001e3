/* The words that an option or a setting may be, written "skip|block". */
#ifndef SHARED_CHOICES_H
#define SHARED_CHOICES_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the text is one of the words. */
bool choices_have(const char *choices, const char *text);

/* Writes them for a sentence, "listen, poll or off", cut to `size`. */
void choices_list(const char *choices, char *text, size_t size);

#endif
