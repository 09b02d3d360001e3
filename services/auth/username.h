/* What a username may look like. */
#ifndef AUTH_USERNAME_H
#define AUTH_USERNAME_H

#define USERNAME_MAX_CHARS 100
#define USERNAME_MAX_BYTES 256

/* What a new username must be beyond 1 to 100 characters: at most 256 bytes, no control or
 * invisible characters, no space at either end. Returns NULL when it is, else what it must be.
 * `username` is valid UTF-8. */
const char *username_objection(const char *username);

#endif
