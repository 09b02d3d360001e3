/* What a username may look like. */
#include "services/auth/username.h"
#include "shared/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void usual_names_are_fine(void **state)
{
    static const char *const FINE[] = {"a", "John Smith", "user@example.org", "Ünïcode",
        "\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0", /* Cyrillic */
        "\xe6\xbc\xa2\xe5\xad\x97",         /* Han */
        "\xf0\x9f\x98\x80",                 /* a face beyond the BMP */
        "'; drop table credential; --"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(FINE); i++)
        assert_null(username_objection(FINE[i]));
}

static void deceiving_names_are_refused(void **state)
{
    static const char *const BAD[] = {"", " ", " a", "a ", "a\tb", "a\nb", "a\x7f",
        "a\xc2\x85"
        "b",        /* U+0085 next line */
        "a\xc2\xa0" /* U+00A0 no-break space */
        "b",
        "a\xe2\x80\x8b" /* U+200B zero width space */
        "b",
        "a\xe2\x80\xae", /* U+202E right-to-left override; NOLINT(misc-misleading-bidirectional) */
        "a\xef\xbb\xbf", /* U+FEFF byte order mark */
        "a\xf3\xa0\x80\xa0"}; /* U+E0020 tag */

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(BAD); i++)
        assert_non_null(username_objection(BAD[i]));
}

static void a_name_has_at_most_256_bytes(void **state)
{
    char name[4 * 65 + 1];
    char *end = name;

    (void)state;
    for (int i = 0; i < 64; i++)
        end = stpcpy(end, "\xf0\x9f\x98\x80");
    assert_null(username_objection(name));
    stpcpy(end, "a");
    assert_non_null(username_objection(name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_names_are_fine),
        cmocka_unit_test(deceiving_names_are_refused),
        cmocka_unit_test(a_name_has_at_most_256_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
