/* Texts that must not stay in memory beyond their use. */
#include "services/auth/secret.h"

#include <stdlib.h>
#include <string.h>

void secret_wipe(const char *text)
{
    if (text)
        explicit_bzero((char *)text, strlen(text));
}

void secret_free(char *text)
{
    secret_wipe(text);
    free(text);
}
