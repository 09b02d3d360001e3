/* Money: an integer number of hundredths (cents), as numeric(14,2) holds it. Never a float.
 * Its text is a decimal string without trailing zeros: "0", "99.9", "1000". */
#ifndef SHARED_MONEY_H
#define SHARED_MONEY_H

#include "shared/base/cleanup.h"

#include "shared/base/json.h"
#include <stdint.h>

#define MONEY_MAX INT64_C(99999999999999) /* 999999999999.99, the largest numeric(14,2) */
#define MONEY_TEXT_SIZE 24

/* "12", "12.3", "-0.50", at most 2 decimals (further zeros are allowed), within ±MONEY_MAX.
 * Returns 0, -EINVAL when it is no such number, -ERANGE when too large or too precise. */
MUST_CHECK int money_parse(const char *text, int64_t *ret_cents);

/* A JSON string as above, or a JSON number with at most 2 decimals. Same errors. */
MUST_CHECK int money_from_json(const json_t *value, int64_t *ret_cents);

/* Writes the canonical text; returns `buffer`. */
const char *money_text(int64_t cents, char buffer[MONEY_TEXT_SIZE]);

#endif
