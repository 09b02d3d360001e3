/* The light checks of contact data. */
#include "services/user-profile/contact.h"
#include "shared/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void emails(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } CASES[] = {
        {"a@b", true},
        {"john.smith+shop@mail.example.org", true},
        {"j\xc3\xbcrgen@m\xc3\xbcnchen.example", true},
        {"", false},
        {"a", false},
        {"@b", false},
        {"a@", false},
        {"a@b@c", false},
        {"a b@c", false},
        {"a@b c", false},
        {"a@.b", false},
        {"a@b.", false},
        {"a@b..c", false},
        {"a\n@b", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++)
        assert_int_equal(contact_email_ok(CASES[i].text), CASES[i].ok);
}

static void phones(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } CASES[] = {
        {"112", true}, {"+7 (495) 123-45-67", true}, {"020.7946.0018", true}, {"", false},
        {"+", false}, {"12", false}, {"123456789012345678901", false}, {"1+23", false},
        {"555-CALL", false}, {"123\n456", false},
        {"\xd9\xa1\xd9\xa2\xd9\xa3", false}, /* Arabic digits */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++)
        assert_int_equal(contact_phone_ok(CASES[i].text), CASES[i].ok);
}

static void names(void **state)
{
    (void)state;
    assert_true(contact_name_ok("Anne-Marie O'Neill"));
    assert_true(contact_name_ok("\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0"));
    assert_false(contact_name_ok("a\tb"));
    assert_false(contact_name_ok("a\x7f"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(emails),
        cmocka_unit_test(phones),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
