/* Values for statements, as text. */
#ifndef RELAY_PG_TEXT_H
#define RELAY_PG_TEXT_H

#include "shared/base/cleanup.h"

#include <stdint.h>

#define NUMBER_SIZE 24

/* Writes a number; returns `text`. */
const char *number_text(int64_t value, char text[NUMBER_SIZE]);

#define ERROR_MAX 500

/* Cuts what went wrong to what the tables keep: whole characters of UTF-8 without control
 * characters; a byte that is of none becomes '?'. */
void error_text(const char *error, char text[ERROR_MAX + 1]);

#endif
