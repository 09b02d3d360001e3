/* Decimal text to cents and back, by integer arithmetic only. */
#include "shared/base/money.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Adds a decimal digit; false when the value would exceed MONEY_MAX. */
static bool append_digit(int64_t *value, char digit)
{
    int64_t next = *value * 10 + (digit - '0');
    if (next > MONEY_MAX)
        return false;
    *value = next;
    return true;
}

/* Reads the digits behind the point: two that count, and zeros. */
static int parse_decimals(const char *text, int64_t *cents)
{
    size_t count = strlen(text);
    if (count == 0 || strspn(text, "0123456789") != count)
        return -EINVAL;
    for (size_t i = 2; i < count; i++) {
        if (text[i] != '0')
            return -ERANGE;
    }
    if (!append_digit(cents, text[0]) || !append_digit(cents, count > 1 ? text[1] : '0'))
        return -ERANGE;
    return 0;
}

int money_parse(const char *text, int64_t *ret_cents)
{
    bool negative = *text == '-';
    const char *digits = text + (negative ? 1 : 0);
    size_t whole = strspn(digits, "0123456789");
    const char *rest = digits + whole;
    if (whole == 0 || (*rest != '\0' && *rest != '.'))
        return -EINVAL;

    /* The whole text is checked before its size is: "99999999999999999x" is no number at all. */
    const char *decimals = *rest == '.' ? rest + 1 : "0";
    if (*decimals == '\0' || strspn(decimals, "0123456789") != strlen(decimals))
        return -EINVAL;

    int64_t cents = 0;
    for (size_t i = 0; i < whole; i++) {
        if (!append_digit(&cents, digits[i]))
            return -ERANGE;
    }
    int error = parse_decimals(decimals, &cents);
    if (error)
        return error;
    *ret_cents = negative ? -cents : cents;
    return 0;
}

/* A JSON real. The parser gave the double nearest to the decimal that was written, and so does the
 * correctly rounded division of a whole number of cents (below 2^53, hence exact) by 100: the two
 * are equal if and only if no more than two decimals were written that a double can tell apart. */
static int from_real(double value, int64_t *ret_cents)
{
    if (!(fabs(value) <= (double)MONEY_MAX / 100))
        return -ERANGE;
    double cents = round(value * 100);
    if (cents / 100 != value)
        return -ERANGE;
    *ret_cents = (int64_t)cents;
    return 0;
}

int money_from_json(const json_t *value, int64_t *ret_cents)
{
    if (json_is_string(value)) {
        const char *text = json_string_value(value);
        if (strlen(text) != json_string_length(value))
            return -EINVAL;
        return money_parse(text, ret_cents);
    }
    if (json_is_integer(value)) {
        json_int_t whole = json_integer_value(value);
        if (whole > MONEY_MAX / 100 || whole < -(MONEY_MAX / 100))
            return -ERANGE;
        *ret_cents = whole * 100;
        return 0;
    }
    if (json_is_real(value))
        return from_real(json_real_value(value), ret_cents);
    return -EINVAL;
}

const char *money_text(int64_t cents, char buffer[MONEY_TEXT_SIZE])
{
    const char *sign = cents < 0 ? "-" : "";
    uint64_t size = cents < 0 ? 0 - (uint64_t)cents : (uint64_t)cents;
    uint64_t whole = size / 100;
    unsigned decimals = (unsigned)(size % 100);
    if (decimals == 0)
        snprintf(buffer, MONEY_TEXT_SIZE, "%s%" PRIu64, sign, whole);
    else if (decimals % 10 == 0)
        snprintf(buffer, MONEY_TEXT_SIZE, "%s%" PRIu64 ".%u", sign, whole, decimals / 10);
    else
        snprintf(buffer, MONEY_TEXT_SIZE, "%s%" PRIu64 ".%02u", sign, whole, decimals);
    return buffer;
}
