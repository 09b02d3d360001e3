/* The words that an option or a setting may be. */
#include "shared/base/choices.h"

#include <stdio.h>
#include <string.h>

bool choices_have(const char *choices, const char *text)
{
    size_t length = strlen(text);
    for (const char *word = choices; *word;) {
        size_t word_length = strcspn(word, "|");
        if (word_length == length && memcmp(word, text, length) == 0)
            return true;
        word += word_length + (word[word_length] == '|');
    }
    return false;
}

void choices_list(const char *choices, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (const char *word = choices; *word && used < size;) {
        size_t length = strcspn(word, "|");
        const char *next = word + length + (word[length] == '|');
        const char *between = !*next ? "" : strchr(next, '|') ? ", " : " or ";
        used += (size_t)snprintf(text + used, size - used, "%.*s%s", (int)length, word, between);
        word = next;
    }
}
