/* Texts that must not stay in memory beyond their use. */
#ifndef AUTH_SECRET_H
#define AUTH_SECRET_H

/* Overwrites a text that is borrowed, as from a request's body. Accepts NULL. */
void secret_wipe(const char *text);

/* Overwrites and frees. Accepts NULL. */
void secret_free(char *text);

#endif
