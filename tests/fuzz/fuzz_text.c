/* Base64 and UTF-8: one spelling for each value, and the same verdict as another implementation. */
#include "shared/base/base64.h"
#include "shared/base/json.h"
#include "shared/base/utf8.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

static void decode_again(enum base64_alphabet alphabet, const char *text, size_t length)
{
    size_t decoded = 0;
    AUTO_FREE char *copy = fuzz_copy(text, length);
    AUTO_FREE unsigned char *bytes = malloc(length + 1);
    AUTO_FREE char *encoded = malloc(BASE64_ENCODED_SIZE(length));
    REQUIRE(bytes && encoded);
    if (base64_decode(alphabet, copy, length, bytes, length, &decoded) < 0)
        return;
    REQUIRE(decoded <= length);
    if (alphabet == BASE64_URL)
        base64url_encode(bytes, decoded, encoded);
    else
        base64_encode(bytes, decoded, encoded);
    REQUIRE(strlen(encoded) == length && memcmp(encoded, text, length) == 0);
}

static void encode_and_decode(const char *bytes, size_t length)
{
    size_t decoded = 0;
    AUTO_FREE char *encoded = malloc(BASE64_ENCODED_SIZE(length));
    AUTO_FREE char *back = malloc(length + 1);
    REQUIRE(encoded && back);
    base64_encode(bytes, length, encoded);
    REQUIRE(base64_decode(BASE64_STANDARD, encoded, strlen(encoded), back, length, &decoded) == 0);
    REQUIRE(decoded == length && memcmp(back, bytes, length) == 0);
}

static void compare_utf8(struct input input)
{
    AUTO_FREE char *text = fuzz_text(&input);
    size_t count = 0;
    bool valid = utf8_valid(text, &count);
    AUTO_JSON json_t *json = json_string(text); /* NULL when jansson finds it is not UTF-8 */
    REQUIRE(valid == (json != NULL));
    REQUIRE(!valid || count <= strlen(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {(const char *)data, size};
    decode_again(BASE64_STANDARD, input.data, input.length);
    decode_again(BASE64_URL, input.data, input.length);
    encode_and_decode(input.data, input.length);
    compare_utf8(input);
    return 0;
}
