/* UUIDs (RFC 9562) in their canonical text: 8-4-4-4-12 hexadecimal digits. */
#ifndef SHARED_UUID_H
#define SHARED_UUID_H

#include <stdbool.h>

#define UUID_LENGTH 36

/* Whether the text is a UUID, in digits of either case; NULL is none. */
bool uuid_is_valid(const char *text);

/* Writes UUID_LENGTH characters with lower-case digits, without NUL. */
void uuid_write(const unsigned char uuid[16], char text[UUID_LENGTH]);

/* Writes a random one (version 4), without NUL. */
void uuid_write_random(char text[UUID_LENGTH]);

#endif
