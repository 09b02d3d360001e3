/* What an operator is told to do about an error of the server. */
#include "outbox-relay/engine/reconnect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void hints_follow_the_sqlstate(void **state)
{
    static const struct {
        const char *sqlstate, *hint; /* NULL: none */
    } cases[] = {
        {"3F000", "init"}, {"42P01", "init"}, {"42703", "init"}, {"42883", "init"},
        {"42501", "grant"}, {"25006", "target_session_attrs"}, {"26000", "OUTBOX_RELAY_WAKE=poll"},
        {"42P05", "OUTBOX_RELAY_WAKE=poll"}, {"42P07", NULL}, {"57P01", NULL}, {"08006", NULL},
        {"P0001", NULL}, {"OB001", NULL}, {"", NULL}, /* a failed login, as far as libpq tells */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *hint = reconnect_hint(cases[i].sqlstate);
        assert_int_equal(hint != NULL, cases[i].hint != NULL);
        assert_true(!hint || strstr(hint, cases[i].hint));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hints_follow_the_sqlstate),
    };
    return cmocka_run_group_tests_name("relay reconnect", tests, NULL, NULL);
}
