/* Strict base64: RFC 4648's vectors, and what it must not take. */
#include "shared/base/base64.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void vectors_of_rfc_4648(void **state)
{
    static const struct {
        const char *plain, *encoded;
    } cases[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[16], bytes[16];
        size_t length = 99;
        base64_encode(cases[i].plain, strlen(cases[i].plain), text);
        assert_string_equal(text, cases[i].encoded);
        assert_int_equal(
            base64_decode(BASE64_STANDARD, text, strlen(text), bytes, sizeof(bytes), &length), 0);
        assert_int_equal(length, strlen(cases[i].plain));
        assert_memory_equal(bytes, cases[i].plain, length);
        base64url_encode(cases[i].plain, strlen(cases[i].plain), text);
        assert_int_equal(strlen(text), strcspn(cases[i].encoded, "="));
        assert_memory_equal(text, cases[i].encoded, strlen(text));
    }
}

static void url_alphabet_has_no_padding(void **state)
{
    unsigned char bytes[8];
    size_t length = 0;
    (void)state;
    assert_int_equal(base64_decode(BASE64_URL, "-_8", 3, bytes, sizeof(bytes), &length), 0);
    assert_int_equal(length, 2);
    assert_memory_equal(bytes, "\xfb\xff", 2);
    char text[8];
    base64url_encode(bytes, length, text);
    assert_string_equal(text, "-_8");
    assert_int_equal(base64_decode(BASE64_URL, "-_8=", 4, bytes, 8, &length), -EINVAL);
    assert_int_equal(base64_decode(BASE64_URL, "+/8", 3, bytes, 8, &length), -EINVAL);
}

static void refuses_what_is_not_canonical(void **state)
{
    static const char *const cases[] = {
        "Z",     /* no byte can come of it */
        "Zg",    /* padding missing */
        "Zg=",   /* half of it */
        "Zg===", /* too much */
        "Zh==",  /* bits set that no byte has */
        "Zm9=",  /* the same with two bytes */
        "Z g=",  /* white space */
        "Zm9v\n",
        "=Zm9",
        "Zm=v",
        "Zm9v====",
        "Zm-_", /* the other alphabet */
        "\xc3\xa9==",
    };
    unsigned char bytes[16];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t length = 77;
        assert_int_equal(base64_decode(BASE64_STANDARD, cases[i], strlen(cases[i]), bytes,
                             sizeof(bytes), &length),
            -EINVAL);
        assert_int_equal(length, 77);
    }
}

static void never_writes_beyond_its_room(void **state)
{
    unsigned char bytes[4] = {0, 0, 0, 0xaa};
    size_t length = 0;
    (void)state;
    assert_int_equal(base64_decode(BASE64_STANDARD, "AAAA", 4, bytes, 3, &length), 0);
    assert_int_equal(length, 3);
    assert_int_equal(base64_decode(BASE64_STANDARD, "AAAAAA==", 8, bytes, 3, &length), -ENOSPC);
    assert_int_equal(bytes[3], 0xaa);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_rfc_4648),
        cmocka_unit_test(url_alphabet_has_no_padding),
        cmocka_unit_test(refuses_what_is_not_canonical),
        cmocka_unit_test(never_writes_beyond_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
