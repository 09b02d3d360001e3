/* What is kept of the text of an error. */
#include "outbox-relay/postgres/pg_text.h"
#include "shared/base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void cuts_are_between_characters(void **state)
{
    static const struct {
        const char *text;
        size_t max, length;
    } cases[] = {{"", 0, 0}, {"", 5, 0}, {"abc", 0, 0}, {"abc", 2, 2}, {"abc", 3, 3}, {"abc", 9, 3},
        {"\u00e4\u00e4", 1, 0}, {"\u00e4\u00e4", 2, 2}, {"\u00e4\u00e4", 3, 2},
        {"\u00e4\u00e4", 4, 4}, {"a\u20ac", 2, 1}, {"a\u20ac", 3, 1}, {"a\u20ac", 4, 4},
        {"a\U0001f600b", 2, 1}, {"a\U0001f600b", 4, 1}, {"a\U0001f600b", 5, 5},
        {"a\U0001f600b", 6, 6}, /* what is no character may be cut anywhere: */
        {"\x80\x80\x80\x80\x80\x80", 4, 4}, {"\xe2\x82", 1, 1}, {"a\xc3", 1, 1},
        {"\xc3\xa4\xa4\xa4", 3, 3}};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(utf8_cut(cases[i].text, cases[i].max), cases[i].length);
}

static void errors_keep_what_can_be_read(void **state)
{
    char text[ERROR_MAX + 1], error[2 * ERROR_MAX + 1];
    (void)state;
    error_text("a\tb\r\n\u00e4 \xe4 \u20ac\xe2\x82", text);
    assert_string_equal(text, "a b  \u00e4 ? \u20ac??");
    error_text("", text);
    assert_string_equal(text, "");
    for (size_t i = 0; i < sizeof(error) - 1; i++)
        error[i] = "\u20ac"[i % 3];
    error[sizeof(error) - 1] = '\0';
    error_text(error, text);
    assert_int_equal(strlen(text), ERROR_MAX / 3 * 3);
    assert_true(utf8_valid(text, NULL) && !strchr(text, '?'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_are_between_characters),
        cmocka_unit_test(errors_keep_what_can_be_read),
    };
    return cmocka_run_group_tests_name("relay text", tests, NULL, NULL);
}
