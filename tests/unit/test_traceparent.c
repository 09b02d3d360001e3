/* Which trace contexts are taken for such. */
#include "shared/base/cleanup.h"
#include "shared/base/traceparent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define TRACE_ID "0af7651916cd43dd8448eb211c80319c"
#define SPAN_ID "b7ad6b7169203331"

static void traceparents_are_those_of_w3c(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"00-" TRACE_ID "-" SPAN_ID "-01", true},
        {"00-" TRACE_ID "-" SPAN_ID "-00", true},
        {"00-" TRACE_ID "-" SPAN_ID "-ff", true},
        {"00-" TRACE_ID "-" SPAN_ID "-01-", false},
        {"00-" TRACE_ID "-" SPAN_ID "-01-more", false},
        {"01-" TRACE_ID "-" SPAN_ID "-01-more\xac", false},
        {"01-" TRACE_ID "-" SPAN_ID "-01-mo\tre", false},
        {"00-" TRACE_ID "-" SPAN_ID "-0", false},
        {"00-" TRACE_ID "-" SPAN_ID "-", false},
        {"00-" TRACE_ID "-" SPAN_ID "-0G", false},
        {"00-" TRACE_ID "-" SPAN_ID "-0A", false},
        {"01-" TRACE_ID "-" SPAN_ID "-01", true},
        {"01-" TRACE_ID "-" SPAN_ID "-01-more", true},
        {"cc-" TRACE_ID "-" SPAN_ID "-01-", true},
        {"01-" TRACE_ID "-" SPAN_ID "-01more", false},
        {"01-" TRACE_ID "-" SPAN_ID "-01.more", false},
        {"ff-" TRACE_ID "-" SPAN_ID "-01", false},
        {"FE-" TRACE_ID "-" SPAN_ID "-01", false},
        {"0--" TRACE_ID "-" SPAN_ID "-01", false},
        {"00-00000000000000000000000000000000-" SPAN_ID "-01", false},
        {"00-" TRACE_ID "-0000000000000000-01", false},
        {"00-00000000000000000000000000000001-0000000000000001-01", true},
        {"00-0AF7651916CD43DD8448EB211C80319C-" SPAN_ID "-01", false},
        {"00-" TRACE_ID "-B7AD6B7169203331-01", false},
        {"00-" TRACE_ID "_" SPAN_ID "-01", false},
        {"00_" TRACE_ID "-" SPAN_ID "-01", false},
        {"00-" TRACE_ID "-" SPAN_ID "_01", false},
        {"00-0af7651916cd43dd8448eb211c80319-" SPAN_ID "1-01", false},
        {" 00-" TRACE_ID "-" SPAN_ID "-01", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (traceparent_valid(cases[i].text, strlen(cases[i].text)) != cases[i].valid)
            fail_msg("%s", cases[i].text);
    assert_false(traceparent_valid("00-" TRACE_ID "-" SPAN_ID "-01", TRACEPARENT_LENGTH - 1));
    assert_false(traceparent_valid("00-" TRACE_ID "-" SPAN_ID "-01", TRACEPARENT_LENGTH + 1));
}

static void tracestates_are_lists_in_ascii(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {{"a=b", true}, {"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", true},
        {"1a@vendor=x ~!\"\\", true}, {"a= b", true}, {"a=", true}, {"", false}, {"a", false},
        {"=b", false}, {"A=b", false}, {" a=b", false}, {"5", false}, {"true", false},
        {"{\"a\": \"=\"}", false}, {"[\"a=b\"]", false}, {"a=\t", false}, {"a=b\n", false},
        {"a=\x7f", false}, {"a=\u00e4", false}};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (tracestate_valid(cases[i].text, strlen(cases[i].text)) != cases[i].valid)
            fail_msg("%s", cases[i].text);
    assert_false(tracestate_valid("a=b", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traceparents_are_those_of_w3c),
        cmocka_unit_test(tracestates_are_lists_in_ascii),
    };
    return cmocka_run_group_tests_name("traceparent", tests, NULL, NULL);
}
