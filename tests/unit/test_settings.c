/* Settings from the environment: defaults, bounds, secrets in files, and what is said of mistakes.
 */
#include "shared/base/settings.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct target {
    char *name;
    char *mode;
    char *secret;
    int64_t port;
    bool demo;
};

static const struct setting TABLE[] = {
    {"T_NAME", SETTING_TEXT, offsetof(struct target, name), "shop", 0, 0, NULL, NULL,
        "A name | with a bar."},
    {"T_MODE", SETTING_TEXT, offsetof(struct target, mode), "SERVICE", 0, 0, NULL, "SERVICE|INIT",
        "What to do."},
    {"T_SECRET", SETTING_SECRET, offsetof(struct target, secret), NULL, 0, 0, NULL, NULL,
        "A password."},
    {"T_PORT", SETTING_INT, offsetof(struct target, port), "8000", 1, 65535, NULL, NULL, "A port."},
    {"T_DEMO", SETTING_BOOL, offsetof(struct target, demo), "false", 0, 0, NULL, NULL,
        "Demo data."},
};

static int clean_environment(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(TABLE); i++)
        unsetenv(TABLE[i].name);
    unsetenv("T_SECRET_FILE");
    return setenv("T_SECRET", "hush", 1);
}

static void defaults_hold_where_nothing_is_set(void **state)
{
    struct target target = {0};
    char *error = NULL;
    (void)state;
    setenv("T_NAME", "", 1); /* empty counts as unset */
    assert_int_equal(settings_load(TABLE, ARRAY_SIZE(TABLE), &target, &error), 0);
    assert_null(error);
    assert_string_equal(target.name, "shop");
    assert_string_equal(target.mode, "SERVICE");
    assert_string_equal(target.secret, "hush");
    assert_int_equal(target.port, 8000);
    assert_false(target.demo);
    settings_release(TABLE, ARRAY_SIZE(TABLE), &target);
    assert_null(target.name);
    settings_release(TABLE, ARRAY_SIZE(TABLE), &target);
}

static void values_are_taken_or_refused(void **state)
{
    static const struct {
        const char *name, *value;
        const char *complaint; /* NULL: taken */
    } CASES[] = {
        {"T_PORT", "1", NULL},
        {"T_PORT", "65535", NULL},
        {"T_PORT", "0", "T_PORT must be an integer from 1 to 65535, not \"0\""},
        {"T_PORT", "65536", "T_PORT must be an integer from 1 to 65535, not \"65536\""},
        {"T_PORT", "-1", "T_PORT must be an integer from 1 to 65535, not \"-1\""},
        {"T_PORT", "80x", "T_PORT must be an integer from 1 to 65535, not \"80x\""},
        {"T_PORT", " 80", "T_PORT must be an integer from 1 to 65535, not \" 80\""},
        {"T_PORT", "+80", "T_PORT must be an integer from 1 to 65535, not \"+80\""},
        {"T_PORT", "0x50", "T_PORT must be an integer from 1 to 65535, not \"0x50\""},
        {"T_PORT", "99999999999999999999",
            "T_PORT must be an integer from 1 to 65535, not \"99999999999999999999\""},
        {"T_DEMO", "true", NULL},
        {"T_DEMO", "yes", "T_DEMO must be true or false, not \"yes\""},
        {"T_DEMO", "TRUE", "T_DEMO must be true or false, not \"TRUE\""},
        {"T_MODE", "INIT", NULL},
        {"T_MODE", "INI", "T_MODE must be SERVICE or INIT, not \"INI\""},
        {"T_MODE", "INITX", "T_MODE must be SERVICE or INIT, not \"INITX\""},
        {"T_MODE", "SERVICE|INIT", "T_MODE must be SERVICE or INIT, not \"SERVICE|INIT\""},
        {"T_NAME", "anything at all", NULL},
        {"T_SECRET", "", "T_SECRET is not set: A password."},
        {"T_SECRET_FILE", "/somewhere", "T_SECRET and T_SECRET_FILE are both set"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct target target = {0};
        AUTO_FREE char *error = NULL;
        clean_environment(state);
        setenv(CASES[i].name, CASES[i].value, 1);
        int expected = CASES[i].complaint ? -EINVAL : 0;
        assert_int_equal(settings_load(TABLE, ARRAY_SIZE(TABLE), &target, &error), expected);
        if (CASES[i].complaint)
            assert_string_equal(error, CASES[i].complaint);
        else
            assert_null(error);
        settings_release(TABLE, ARRAY_SIZE(TABLE), &target);
    }
}

/* Makes a file and names it in T_SECRET_FILE. */
static void put_secret_file(char path[32], const char *content, size_t length)
{
    snprintf(path, 32, "/tmp/test_settings.XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, length), (ssize_t)length);
    close(fd);
    unsetenv("T_SECRET");
    setenv("T_SECRET_FILE", path, 1);
}

static void a_secret_may_come_from_a_file(void **state)
{
    struct target target = {0};
    char *error = NULL, path[32];
    (void)state;
    put_secret_file(path, "two\nlines\r\n\n", 12);
    assert_int_equal(settings_load(TABLE, ARRAY_SIZE(TABLE), &target, &error), 0);
    assert_string_equal(target.secret, "two\nlines");
    settings_release(TABLE, ARRAY_SIZE(TABLE), &target);
    unlink(path);
}

static void a_bad_secret_file_is_named(void **state)
{
    static char large[70000];
    char path[32], expected[128];
    (void)state;

    struct target target = {0};
    char *error = NULL;
    put_secret_file(path, "\n", 1);
    assert_int_equal(settings_load(TABLE, ARRAY_SIZE(TABLE), &target, &error), -EINVAL);
    snprintf(expected, sizeof expected, "T_SECRET_FILE: %s is empty", path);
    assert_string_equal(error, expected);
    free(error);
    unlink(path);
    settings_release(TABLE, ARRAY_SIZE(TABLE), &target);

    memset(large, 'x', sizeof large);
    put_secret_file(path, large, sizeof large);
    assert_int_equal(settings_load(TABLE, ARRAY_SIZE(TABLE), &target, &error), -EINVAL);
    snprintf(expected, sizeof expected, "T_SECRET_FILE: %s: File too large", path);
    assert_string_equal(error, expected);
    free(error);
    unlink(path);
    settings_release(TABLE, ARRAY_SIZE(TABLE), &target);

    assert_int_equal(settings_load(TABLE, ARRAY_SIZE(TABLE), &target, &error), -EINVAL);
    snprintf(expected, sizeof expected, "T_SECRET_FILE: %s: No such file or directory", path);
    assert_string_equal(error, expected);
    free(error);
    settings_release(TABLE, ARRAY_SIZE(TABLE), &target);
}

static char *printed(void (*print)(FILE *out, const struct setting *table, size_t count))
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    print(out, TABLE, ARRAY_SIZE(TABLE));
    assert_int_equal(fclose(out), 0);
    return text;
}

static void the_table_is_printed_without_values(void **state)
{
    (void)state;
    setenv("T_SECRET", "do not print me", 1);
    AUTO_FREE char *help = printed(settings_print_help);
    assert_non_null(strstr(help, "T_MODE\n      What to do. [SERVICE|INIT] (default: SERVICE)\n"));
    assert_non_null(
        strstr(help, "T_SECRET (secret; or T_SECRET_FILE)\n      A password. (required)\n"));
    assert_null(strstr(help, "do not print me"));

    AUTO_FREE char *markdown = printed(settings_print_markdown);
    assert_non_null(strstr(markdown, "| `T_NAME` | `shop` |  | A name \\| with a bar. |\n"));
    assert_non_null(strstr(markdown, "| `T_PORT` | `8000` | 1 to 65535 | A port. |\n"));
    assert_non_null(
        strstr(markdown, "| `T_SECRET`, `T_SECRET_FILE` | required |  | A password. |\n"));
    assert_null(strstr(markdown, "do not print me"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults_hold_where_nothing_is_set, clean_environment),
        cmocka_unit_test_setup(values_are_taken_or_refused, clean_environment),
        cmocka_unit_test_setup(a_secret_may_come_from_a_file, clean_environment),
        cmocka_unit_test_setup(a_bad_secret_file_is_named, clean_environment),
        cmocka_unit_test_setup(the_table_is_printed_without_values, clean_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
