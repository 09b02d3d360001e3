/* Ids, UUIDs, hexadecimal digits and hashes: the forms that are taken and written. */
#include "shared/base/cleanup.h"
#include "shared/base/hash.h"
#include "shared/base/hex.h"
#include "shared/base/id.h"
#include "shared/base/sha256.h"
#include "shared/base/uuid.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void ids_are_positive_int64(void **state)
{
    static const struct {
        const char *text;
        int64_t id; /* 0: refused */
    } CASES[] = {
        {"1", 1},
        {"42", 42},
        {"9223372036854775807", INT64_MAX},
        {"9223372036854775808", 0},
        {"18446744073709551617", 0},
        {"0", 0},
        {"01", 0},
        {"-1", 0},
        {"+1", 0},
        {" 1", 0},
        {"1 ", 0},
        {"1x", 0},
        {"", 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        int64_t id = 0;
        int error = id_parse(CASES[i].text, strlen(CASES[i].text), &id);
        assert_int_equal(error, CASES[i].id ? 0 : -EINVAL);
        assert_int_equal(id, CASES[i].id);
    }
}

static void uuids_have_one_shape(void **state)
{
    static const char *const GOOD[] = {"0190c5a4-7d2a-7000-8000-00000000000f",
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "00000000-0000-0000-0000-000000000000"};
    static const char *const BAD[] = {NULL, "", "0190c5a4", "0190c5a4-7d2a-7000-8000-00000000000",
        "0190c5a4-7d2a-7000-8000-00000000000ff", "0190c5a47d2a-7000-8000-000000000000f",
        "0190c5a4-7d2a-7000-8000-00000000000g", "{0190c5a4-7d2a-7000-8000-0000000000f}",
        "0190c5a4-7d2a-7000-8000 00000000000f"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(GOOD); i++)
        assert_true(uuid_is_valid(GOOD[i]));
    for (size_t i = 0; i < ARRAY_SIZE(BAD); i++)
        assert_false(uuid_is_valid(BAD[i]));
}

static void uuids_are_written(void **state)
{
    static const unsigned char UUID[16] = {
        0x01, 0x90, 0xc5, 0xa4, 0x7d, 0x2a, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0xff};
    char text[UUID_LENGTH + 2] = "", other[UUID_LENGTH + 1] = "";
    (void)state;
    text[UUID_LENGTH] = '#';
    uuid_write(UUID, text);
    assert_string_equal(text, "0190c5a4-7d2a-7000-8000-0000000000ff#");
    uuid_write_random(text);
    text[UUID_LENGTH] = '\0';
    uuid_write_random(other);
    assert_true(uuid_is_valid(text) && uuid_is_valid(other));
    assert_string_not_equal(text, other);
    assert_int_equal(text[14], '4');
    assert_non_null(strchr("89ab", text[19]));
}

static void digits_are_read_and_written(void **state)
{
    static const unsigned char BYTES[] = {0x00, 0x0f, 0xa5, 0xff};
    char text[16] = "";
    (void)state;
    char *end = hex_write(text, BYTES, sizeof(BYTES));
    assert_ptr_equal(end, text + 8);
    assert_string_equal(text, "000fa5ff");
    assert_int_equal(hex_digit('0'), 0);
    assert_int_equal(hex_digit('9'), 9);
    assert_int_equal(hex_digit('a'), 10);
    assert_int_equal(hex_digit('F'), 15);
    for (const char *c = "/:@G`g \x80"; *c; c++)
        assert_int_equal(hex_digit(*c), -1);
    assert_int_equal(hex_digit('\0'), -1);
}

/* http://www.isthe.com/chongo/src/fnv/test_fnv.c */
static void vectors_of_fnv(void **state)
{
    (void)state;
    assert_true(hash_bytes(HASH_START, "", 0) == UINT64_C(0xcbf29ce484222325));
    assert_true(hash_bytes(HASH_START, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(hash_bytes(HASH_START, "foobar", 6) == UINT64_C(0x85944171f73967e8));
    assert_true(hash_text(HASH_START, "foobar") == hash_bytes(HASH_START, "foobar", 7));
    assert_true(
        hash_text(hash_text(HASH_START, "a"), "bc") != hash_text(hash_text(HASH_START, "ab"), "c"));
}

/* FIPS 180-4's examples. */
static void vectors_of_sha_256(void **state)
{
    static const struct {
        const char *plain, *digest;
    } CASES[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        unsigned char digest[SHA256_SIZE];
        char text[2 * SHA256_SIZE + 1] = "";
        assert_int_equal(sha256(CASES[i].plain, strlen(CASES[i].plain), digest), 0);
        hex_write(text, digest, sizeof(digest));
        assert_string_equal(text, CASES[i].digest);
    }
    unsigned char digest[SHA256_SIZE];
    assert_int_equal(sha256(NULL, 0, digest), 0);
    assert_int_equal(digest[0], 0xe3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_positive_int64),
        cmocka_unit_test(uuids_have_one_shape),
        cmocka_unit_test(uuids_are_written),
        cmocka_unit_test(digits_are_read_and_written),
        cmocka_unit_test(vectors_of_fnv),
        cmocka_unit_test(vectors_of_sha_256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
