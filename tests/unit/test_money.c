/* Money: text and JSON to cents and back. */
#include "shared/base/json.h"
#include "shared/base/money.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void texts_are_parsed_or_refused(void **state)
{
    static const struct {
        const char *text;
        int error;
        int64_t cents;
    } CASES[] = {
        {"0", 0, 0}, {"-0", 0, 0}, {"0.00", 0, 0}, {"12", 0, 1200}, {"12.3", 0, 1230},
        {"12.30", 0, 1230}, {"12.34", 0, 1234}, {"12.340000", 0, 1234}, {"007", 0, 700},
        {"-0.50", 0, -50}, {"999999999999.99", 0, MONEY_MAX}, {"-999999999999.99", 0, -MONEY_MAX},
        {"1000000000000", -ERANGE, 0}, {"999999999999.999", -ERANGE, 0},
        {"99999999999999999999999999", -ERANGE, 0}, {"0.001", -ERANGE, 0}, {"12.345", -ERANGE, 0},
        {"", -EINVAL, 0}, {"-", -EINVAL, 0}, {"+1", -EINVAL, 0}, {" 1", -EINVAL, 0},
        {"1 ", -EINVAL, 0}, {"1.", -EINVAL, 0}, {".5", -EINVAL, 0}, {"1,5", -EINVAL, 0},
        {"1.5.5", -EINVAL, 0}, {"1e3", -EINVAL, 0}, {"0x10", -EINVAL, 0}, {"1.2x", -EINVAL, 0},
        {"99999999999999999999x", -EINVAL, 0}, {"--1", -EINVAL, 0}, {"NaN", -EINVAL, 0},
        {"\xD9\xA3", -EINVAL, 0}, /* an Arabic digit */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        int64_t cents = 77;
        int error = money_parse(CASES[i].text, &cents);
        if (error != CASES[i].error)
            print_error("\"%s\"\n", CASES[i].text);
        assert_int_equal(error, CASES[i].error);
        assert_int_equal(cents, CASES[i].error ? 77 : CASES[i].cents);
    }
}

static void json_values_are_taken_or_refused(void **state)
{
    static const struct {
        const char *json;
        int error;
        int64_t cents;
    } CASES[] = {
        {"\"99.9\"", 0, 9990},
        {"5", 0, 500},
        {"-5", 0, -500},
        {"0.1", 0, 10},
        {"0.29", 0, 29},
        {"1.15", 0, 115},
        {"1e3", 0, 100000},
        {"999999999999.99", 0, MONEY_MAX},
        {"-0.0", 0, 0},
        {"999999999999", 0, INT64_C(99999999999900)},
        {"1000000000000", -ERANGE, 0},
        {"9223372036854775807", -ERANGE, 0},
        {"-9223372036854775808", -ERANGE, 0},
        {"999999999999.995", -ERANGE, 0},
        {"0.001", -ERANGE, 0},
        {"12.345", -ERANGE, 0},
        {"1e-12", -ERANGE, 0},
        {"1e300", -ERANGE, 0},
        {"true", -EINVAL, 0},
        {"null", -EINVAL, 0},
        {"[1]", -EINVAL, 0},
        {"{}", -EINVAL, 0},
        {"\"1\\u0000\"", -EINVAL, 0},
        {"\"\"", -EINVAL, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        AUTO_JSON json_t *value = json_loads(CASES[i].json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(value);
        int64_t cents = 77;
        int error = money_from_json(value, &cents);
        if (error != CASES[i].error)
            print_error("%s\n", CASES[i].json);
        assert_int_equal(error, CASES[i].error);
        assert_int_equal(cents, CASES[i].error ? 77 : CASES[i].cents);
    }
}

static void text_is_canonical(void **state)
{
    static const struct {
        int64_t cents;
        const char *text;
    } CASES[] = {
        {0, "0"},
        {1, "0.01"},
        {10, "0.1"},
        {9990, "99.9"},
        {100000, "1000"},
        {-50, "-0.5"},
        {-1, "-0.01"},
        {MONEY_MAX, "999999999999.99"},
        {INT64_MAX, "92233720368547758.07"},
        {INT64_MIN, "-92233720368547758.08"},
    };
    char buffer[MONEY_TEXT_SIZE];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++)
        assert_string_equal(money_text(CASES[i].cents, buffer), CASES[i].text);
}

/* Every amount comes back from its text, and from the double a JSON parser makes of it. */
static void amounts_survive_the_round_trip(void **state)
{
    (void)state;
    int64_t cents = 1;
    for (int i = 0; i < 200000; i++) {
        char text[MONEY_TEXT_SIZE];
        int64_t again = -1;
        money_text(cents, text);
        assert_int_equal(money_parse(text, &again), 0);
        assert_int_equal(again, cents);
        AUTO_JSON json_t *real = json_real(strtod(text, NULL));
        assert_int_equal(money_from_json(real, &again), 0);
        assert_int_equal(again, cents);
        cents = (int64_t)((uint64_t)cents * UINT64_C(6364136223846793005) % (MONEY_MAX + 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_parsed_or_refused),
        cmocka_unit_test(json_values_are_taken_or_refused),
        cmocka_unit_test(text_is_canonical),
        cmocka_unit_test(amounts_survive_the_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
