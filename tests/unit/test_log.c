/* Log lines: always one valid JSON object on one line, whatever is logged. */
#include "shared/base/log.h"

#include "shared/base/cleanup.h"
#include "shared/base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int pipe_ends[2];
static int real_stderr;
static char captured[65536];

static int capture(void **state)
{
    (void)state;
    real_stderr = dup(STDERR_FILENO);
    if (real_stderr < 0 || pipe2(pipe_ends, O_NONBLOCK | O_CLOEXEC))
        return -1;
    log_init("test", LOG_LEVEL_INFO);
    return dup2(pipe_ends[1], STDERR_FILENO) < 0 ? -1 : 0;
}

static int restore(void **state)
{
    (void)state;
    log_context_clear();
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return 0;
}

/* What was logged since the last call. */
static const char *taken(void)
{
    ssize_t length = read(pipe_ends[0], captured, sizeof captured - 1);
    captured[length > 0 ? length : 0] = '\0';
    return captured;
}

/* The one line that was logged. The caller releases it. */
static json_t *taken_line(void)
{
    const char *text = taken();
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(line);
    return line;
}

static const char *member(const json_t *line, const char *name)
{
    const char *text = json_string_value(json_object_get(line, name));
    assert_non_null(text);
    return text;
}

static void a_line_has_what_identifies_it(void **state)
{
    (void)state;
    log_context_set("req-1", "00-trace-span-01");
    log_info("something \"happened\"", LOG_TEXT("name", "väl\n\t\\ue"), LOG_INT("count", -7));
    AUTO_JSON json_t *line = taken_line();
    assert_string_equal(member(line, "level"), "info");
    assert_string_equal(member(line, "program"), "test");
    assert_string_equal(member(line, "message"), "something \"happened\"");
    assert_string_equal(member(line, "requestId"), "req-1");
    assert_string_equal(member(line, "traceparent"), "00-trace-span-01");
    assert_string_equal(member(line, "name"), "väl\n\t\\ue");
    assert_int_equal(json_integer_value(json_object_get(line, "count")), -7);
    assert_int_equal(strlen(member(line, "time")), strlen("2026-01-02T03:04:05.678901Z"));
}

static void a_cleared_context_is_not_logged(void **state)
{
    (void)state;
    log_context_set("req-1", NULL);
    log_warn("with a context");
    AUTO_JSON json_t *line = taken_line();
    assert_string_equal(member(line, "requestId"), "req-1");
    assert_null(json_object_get(line, "traceparent"));
    log_context_clear();
    log_warn("plain");
    AUTO_JSON json_t *plain = taken_line();
    assert_null(json_object_get(plain, "requestId"));
    assert_null(json_object_get(plain, "traceparent"));
}

static void lower_levels_are_left_out(void **state)
{
    (void)state;
    log_debug("not to be seen");
    assert_string_equal(taken(), "");
    log_init("test", LOG_LEVEL_ERROR);
    log_warn("not to be seen");
    assert_string_equal(taken(), "");
    log_error("seen");
    AUTO_JSON json_t *line = taken_line();
    assert_string_equal(member(line, "level"), "error");
}

static void anything_can_be_logged(void **state)
{
    static const struct {
        const char *text, *logged;
    } CASES[] = {
        {"", ""},
        {NULL, ""},
        {"\x01\x1F\x7F", "\x01\x1F\x7F"},
        {"\xFF\xFE", "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xC0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD"},                 /* overlong NUL */
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* a surrogate */
        {"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xE2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD"}, /* cut short */
        {"\xF0\x9F\x90\x98 \xE2\x82\xAC", "\xF0\x9F\x90\x98 \xE2\x82\xAC"},
        {"\",\"level\":\"error", "\",\"level\":\"error"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        log_info("odd", LOG_TEXT("value", CASES[i].text));
        AUTO_JSON json_t *line = taken_line();
        assert_string_equal(member(line, "value"), CASES[i].logged);
    }
}

/* Lengths around the limit, of characters that need 1, 2 and 6 bytes in JSON. */
static void a_long_line_is_cut_and_stays_json(void **state)
{
    static const char *const FILLERS[] = {"a", "\"", "\x01", "\xE2\x82\xAC"};
    static char text[20000];
    (void)state;
    for (size_t f = 0; f < ARRAY_SIZE(FILLERS); f++) {
        for (size_t length = 900; length < 9000; length += 37) {
            text[0] = '\0';
            char *end = text;
            for (size_t i = 0; i < length && end < text + sizeof text - 8; i++)
                end = stpcpy(end, FILLERS[f]);
            log_info("long", LOG_TEXT("value", text), LOG_INT("after", 1), LOG_TEXT("more", text));
            AUTO_JSON json_t *line = taken_line();
            assert_string_equal(member(line, "message"), "long");
            assert_true(strlen(captured) <= 8192);
        }
    }
}

static void errno_survives(void **state)
{
    (void)state;
    errno = EXDEV;
    log_info("line");
    assert_int_equal(errno, EXDEV);
    taken();
}

static void levels_are_parsed(void **state)
{
    enum log_level level = LOG_LEVEL_DEBUG;
    (void)state;
    assert_int_equal(log_level_parse("warn", &level), 0);
    assert_int_equal(level, LOG_LEVEL_WARN);
    assert_int_equal(log_level_parse("WARN", &level), -EINVAL);
    assert_int_equal(log_level_parse("", &level), -EINVAL);
    assert_int_equal(level, LOG_LEVEL_WARN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_has_what_identifies_it, capture, restore),
        cmocka_unit_test_setup_teardown(a_cleared_context_is_not_logged, capture, restore),
        cmocka_unit_test_setup_teardown(lower_levels_are_left_out, capture, restore),
        cmocka_unit_test_setup_teardown(anything_can_be_logged, capture, restore),
        cmocka_unit_test_setup_teardown(a_long_line_is_cut_and_stays_json, capture, restore),
        cmocka_unit_test_setup_teardown(errno_survives, capture, restore),
        cmocka_unit_test(levels_are_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
