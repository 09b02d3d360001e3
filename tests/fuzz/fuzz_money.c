/* Amounts of money: what is read can be written and read again, and a JSON number says the same as
 * its text. */
#include "shared/base/json.h"
#include "shared/base/money.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>

/* Written out again and read it is the same amount. */
static void require_stable(int64_t cents)
{
    char text[MONEY_TEXT_SIZE];
    int64_t again = 0;
    REQUIRE(cents >= -MONEY_MAX && cents <= MONEY_MAX);
    REQUIRE(money_parse(money_text(cents, text), &again) == 0);
    REQUIRE(again == cents);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {(const char *)data, size};
    AUTO_FREE char *text = fuzz_text(&input);
    int64_t cents = 0, from_json = 0;
    int ret = money_parse(text, &cents);
    REQUIRE(ret == 0 || ret == -EINVAL || ret == -ERANGE);
    if (ret == 0)
        require_stable(cents);
    AUTO_JSON json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    int json_ret = json ? money_from_json(json, &from_json) : -EINVAL;
    if (json_ret == 0)
        require_stable(from_json);
    if (ret == 0 && json_is_number(json))
        REQUIRE(json_ret == 0 && from_json == cents);
    return 0;
}
