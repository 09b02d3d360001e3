/* The declared fields of a JSON body: a value that is taken is within its bounds. */
#include "shared/base/json.h"
#include "shared/base/money.h"
#include "shared/base/utf8.h"
#include "shared/http/fields.h"
#include "tests/fuzz/fuzz.h"

struct values {
    const char *text;
    int64_t number, cents;
    json_t *array, *object, *numbers;
};

static void require_values(const struct values *values)
{
    size_t length = 0;
    if (values->text)
        REQUIRE(utf8_valid(values->text, &length) && length >= 2 && length <= 5);
    REQUIRE(values->number >= -3 && values->number <= 30);
    REQUIRE(values->cents >= 0 && values->cents <= 100000);
    if (values->array)
        REQUIRE(json_array_size(values->array) >= 1 && json_array_size(values->array) <= 3);
    REQUIRE(!values->object || json_is_object(values->object));
    for (size_t i = 0; i < json_array_size(values->numbers); i++)
        REQUIRE(json_integer_value(json_array_get(values->numbers, i)) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct values values = {0};
    struct field_error error = {0};
    const struct field fields[] = {
        {"text", FIELD_TEXT, true, 2, 5, &values.text},
        {"number", FIELD_INT, false, -3, 30, &values.number},
        {"money", FIELD_MONEY, true, 0, 100000, &values.cents},
        {"array", FIELD_ARRAY, true, 1, 3, &values.array},
        {"object", FIELD_OBJECT, true, 0, 0, &values.object},
        {"numbers", FIELD_INTS, true, 0, 4, &values.numbers},
    };
    AUTO_JSON json_t *json = json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL);
    if (!json)
        return 0;
    if (fields_read(json, "items[2].", fields, ARRAY_SIZE(fields), &error) == 0)
        require_values(&values);
    else
        REQUIRE(*error.message && strncmp(error.field, "items[2]", 8) == 0);
    return 0;
}
