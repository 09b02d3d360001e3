/* Declared JSON fields: what is taken, what is refused and how it is named, and any bytes at all.
 */
#include "shared/base/json.h"
#include "shared/base/money.h"
#include "shared/http/fields.h"
#include "shared/http/http_reply.h"
#include "shared/http/http_request.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* One target of each type, and the table that fills them. */
struct values {
    const char *name;
    int64_t quantity, price;
    json_t *items, *paging, *ids;
};

static void reset(struct values *values)
{
    memset(values, 0, sizeof *values);
    values->name = "as it was";
    values->quantity = values->price = -77;
}

static int read_all(const json_t *object, struct values *values, struct field_error *error)
{
    const struct field fields[] = {
        {"name", FIELD_TEXT, true, 1, 5, &values->name},
        {"quantity", FIELD_INT, true, 1, 1000000, &values->quantity},
        {"price", FIELD_MONEY, true, 1, MONEY_MAX, &values->price},
        {"items", FIELD_ARRAY, true, 1, 2, &values->items},
        {"paging", FIELD_OBJECT, true, 0, 0, &values->paging},
        {"ids", FIELD_INTS, true, 0, 3, &values->ids},
    };
    return fields_read(object, "", fields, ARRAY_SIZE(fields), error);
}

static void good_values_are_taken(void **state)
{
    struct values v;
    struct field_error error;
    (void)state;
    reset(&v);
    AUTO_JSON json_t *object =
        json_loads("{\"name\":\"gr\\u00fc\\u00df\",\"quantity\":7,\"price\":\"0.01\",\"items\":[1],"
                   "\"paging\":{},\"ids\":[1,9223372036854775807],\"more\":[[]]}",
            0, NULL);
    assert_non_null(object);
    assert_int_equal(read_all(object, &v, &error), 0);
    assert_string_equal(v.name, "gr\xC3\xBC\xC3\x9F");
    assert_int_equal(v.quantity, 7);
    assert_int_equal(v.price, 1);
    assert_ptr_equal(v.items, json_object_get(object, "items"));
    assert_ptr_equal(v.paging, json_object_get(object, "paging"));
    assert_ptr_equal(v.ids, json_object_get(object, "ids"));
}

static void absent_optional_fields_leave_the_target(void **state)
{
    static const char *const CASES[] = {"{}", "{\"name\":null,\"quantity\":null,\"ids\":null}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct values v;
        struct field_error error;
        reset(&v);
        AUTO_JSON json_t *object = json_loads(CASES[i], 0, NULL);
        assert_int_equal(read_all(object, &v, &error), 0);
        assert_string_equal(v.name, "as it was");
        assert_int_equal(v.quantity, -77);
        assert_null(v.ids);
    }
}

static void wrong_values_are_named(void **state)
{
    static const struct {
        const char *json, *field, *message;
    } CASES[] = {
        {"[]", "", "must be an object"},
        {"7", "", "must be an object"},
        {"{\"name\":7}", "name", "must be a string"},
        {"{\"name\":[\"a\"]}", "name", "must be a string"},
        {"{\"name\":\"a\\u0000b\"}", "name", "must be a string"},
        {"{\"name\":\"\"}", "name", "must be a string of 1 to 5 characters"},
        {"{\"name\":\"abcdef\"}", "name", "must be a string of 1 to 5 characters"},
        {"{\"quantity\":0}", "quantity", "must be an integer from 1 to 1000000"},
        {"{\"quantity\":1000001}", "quantity", "must be an integer from 1 to 1000000"},
        {"{\"quantity\":-9223372036854775808}", "quantity", "must be an integer from 1 to 1000000"},
        {"{\"quantity\":1.0}", "quantity", "must be an integer from 1 to 1000000"},
        {"{\"quantity\":\"1\"}", "quantity", "must be an integer from 1 to 1000000"},
        {"{\"quantity\":true}", "quantity", "must be an integer from 1 to 1000000"},
        {"{\"price\":0}", "price",
            "must be an amount of money from 0.01 to 999999999999.99 with at most 2 decimals, as a "
            "string or a number"},
        {"{\"price\":-5}", "price", NULL},
        {"{\"price\":0.001}", "price", NULL},
        {"{\"price\":\"1.234\"}", "price", NULL},
        {"{\"price\":\"1e2\"}", "price", NULL},
        {"{\"price\":1e30}", "price", NULL},
        {"{\"items\":[]}", "items", "must be an array of 1 to 2 items"},
        {"{\"items\":[1,2,3]}", "items", "must be an array of 1 to 2 items"},
        {"{\"items\":{}}", "items", "must be an array of 1 to 2 items"},
        {"{\"paging\":[]}", "paging", "must be an object"},
        {"{\"ids\":[1,0]}", "ids",
            "must be an array of 0 to 3 integers, each from 1 to 9223372036854775807"},
        {"{\"ids\":[1,\"2\"]}", "ids", NULL},
        {"{\"ids\":[1.5]}", "ids", NULL},
        {"{\"ids\":[-1]}", "ids", NULL},
        {"{\"ids\":[1,2,3,4]}", "ids", NULL},
        {"{\"ids\":\"1\"}", "ids", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct values v;
        struct field_error error;
        reset(&v);
        AUTO_JSON json_t *object =
            json_loads(CASES[i].json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(object);
        assert_int_equal(read_all(object, &v, &error), -EINVAL);
        assert_string_equal(error.field, CASES[i].field);
        if (CASES[i].message)
            assert_string_equal(error.message, CASES[i].message);
        assert_int_equal(v.quantity, -77);
        assert_int_equal(v.price, -77);
        assert_null(v.items);
        assert_null(v.ids);
    }
}

static void a_prefix_names_the_place(void **state)
{
    int64_t quantity = -77;
    const struct field required[] = {{"quantity", FIELD_INT, false, 1, 9, &quantity}};
    struct field_error error;
    (void)state;
    AUTO_JSON json_t *empty = json_object();
    assert_int_equal(fields_read(empty, "items[2].", required, 1, &error), -EINVAL);
    assert_string_equal(error.field, "items[2].quantity");
    assert_string_equal(error.message, "is required");
    AUTO_JSON json_t *text = json_string("x");
    assert_int_equal(fields_read(text, "order.items[2].", required, 1, &error), -EINVAL);
    assert_string_equal(error.field, "order.items[2]");
    assert_int_equal(fields_read(NULL, "", required, 1, &error), -EINVAL);
    assert_string_equal(error.field, "");
}

/* A request without a socket: enough for what replies. */
static void a_request_gets_a_problem(void **state)
{
    struct http_request request = {.method = "POST", .request_id = "r-1"};
    int64_t quantity = -77, id = -77;
    const struct field fields[] = {{"quantity", FIELD_INT, false, 1, 9, &quantity}};
    (void)state;
    AUTO_JSON json_t *object = json_pack("{s:i}", "quantity", 10);
    assert_int_equal(fields_parse(&request, object, "items[0].", fields, 1), 400);
    assert_string_equal(request.reply.content_type, "application/problem+json");
    AUTO_JSON json_t *problem = json_loads(request.reply.body, 0, NULL);
    const char *field, *detail, *code, *request_id;
    assert_int_equal(json_unpack(problem, "{s:s, s:s, s:s, s:s}", "field", &field, "detail",
                         &detail, "code", &code, "requestId", &request_id),
        0);
    assert_string_equal(field, "items[0].quantity");
    assert_string_equal(detail, "items[0].quantity must be an integer from 1 to 9");
    assert_string_equal(code, "bad_field");
    assert_string_equal(request_id, "r-1");

    assert_int_equal(field_parse_id(&request, "productIds", "12x", &id), 400);
    assert_int_equal(field_parse_id(&request, "productIds", "", &id), 400);
    assert_int_equal(field_parse_id(&request, "productIds", "9223372036854775808", &id), 400);
    assert_int_equal(id, -77);
    assert_int_equal(field_parse_id(&request, "productIds", "9223372036854775807", &id), 0);
    assert_int_equal(id, INT64_MAX);
    http_reply_reset(&request);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Bodies that were good once, with bytes changed, cut or doubled: parsed or refused with a problem
 * that is valid JSON, whatever they hold. The sanitizers watch. */
static void mutated_bodies_do_no_harm(void **state)
{
    static const char *const SEEDS[] = {
        "{\"name\":\"gr\xC3\xBC\xC3\x9F\",\"quantity\":7,\"price\":\"0.01\",\"items\":[1]}",
        "{\"paging\":{\"page\":0},\"ids\":[1,2,9223372036854775807],\"price\":1e2}",
        "{\"items\":[[[[[[{}]]]]]],\"name\":\"\\u00e4\\\"\\\\\"}",
    };
    static const char TOKENS[] = "{}[]\",:\\0123456789eE+-.\x00\xFF\xC3 ntf";
    uint64_t seed = UINT64_C(88172645463325252);
    size_t accepted = 0;
    (void)state;
    for (int round = 0; round < 60000; round++) {
        struct http_request request = {.method = "POST", .request_id = "r-1"};
        const char *from = SEEDS[next_random(&seed) % ARRAY_SIZE(SEEDS)];
        request.body_length = strlen(from);
        request.body = malloc(request.body_length + 1);
        assert_non_null(request.body);
        memcpy(request.body, from, request.body_length + 1);
        for (uint64_t n = next_random(&seed) % 4; n > 0; n--)
            request.body[next_random(&seed) % request.body_length] =
                TOKENS[next_random(&seed) % (sizeof TOKENS - 1)];
        if (next_random(&seed) % 8 == 0)
            request.body_length = next_random(&seed) % request.body_length;
        request.body[request.body_length] = '\0';

        json_t *object = NULL;
        struct values v;
        struct field_error error;
        reset(&v);
        int status = http_json_body(&request, false, &object);
        if (status == 0 && read_all(object, &v, &error) == 0) {
            accepted++;
        } else if (status != 0) {
            assert_int_equal(status, 400);
            AUTO_JSON json_t *problem = json_loads(request.reply.body, 0, NULL);
            assert_non_null(problem);
        }
        json_decref(request.json);
        free(request.body);
        http_reply_reset(&request);
    }
    assert_true(accepted > 1000); /* the test does reach the fields */
}

static void bodies_that_are_no_object_are_refused(void **state)
{
    static const struct {
        const char *body;
        const char *detail;
    } CASES[] = {
        {"", "the body must be a JSON object, not empty"},
        {"[]", "the body must be a JSON object"},
        {"\"secret\"", "the body must be a JSON object"},
        {"{\"a\":1,\"a\":2}",
            "the body can't be read: line 1: an object has the same member twice"},
        {"{\"a\":99999999999999999999}", "a is too large a number"},
        {"{\"a\":1,\"b\":[{\"c\":2},{\"c\":-9223372036854775809}]}",
            "b[1].c is too large a number"},
        {"9223372036854775808", "the body can't be read: line 1: a number is too large"},
        {"{\"a\":9223372036854775808,\"b\":1e999}",
            "the body can't be read: line 1: a number is too large"},
        {"{\"a\":1e999}", "the body can't be read: line 1: a number is too large"},
        {"{\"a\":\"\\u0000\"}",
            "the body can't be read: line 1: a string contains the character NUL"},
        {"{\"a\":\"\xFF\"}", "the body can't be read: line 1: it is not UTF-8"},
        {"{\"a\":1}{}", "the body can't be read: line 1: something follows its end"},
        {"{\"a\":\n", "the body can't be read: line 2: it ends too early"},
        {"{\"password\":secret}", "the body can't be read: line 1: it is not JSON"},
        {"{\"a\":NaN}", "the body can't be read: line 1: it is not JSON"},
        {"{'a':1}", "the body can't be read: line 1: it is not JSON"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct http_request request = {.request_id = "r-1"};
        request.body = strdup(CASES[i].body);
        request.body_length = strlen(CASES[i].body);
        json_t *object = NULL;
        assert_int_equal(http_json_body(&request, false, &object), 400);
        assert_null(object);
        AUTO_JSON json_t *problem = json_loads(request.reply.body, 0, NULL);
        assert_string_equal(json_string_value(json_object_get(problem, "detail")), CASES[i].detail);
        json_decref(request.json);
        free(request.body);
        http_reply_reset(&request);
    }
}

/* {"a":[[[…]]]} of the given depth. */
static char *nested(size_t depth)
{
    char *text = calloc(1, 2 * depth + 8);
    assert_non_null(text);
    char *end = stpcpy(text, "{\"a\":");
    for (size_t i = 1; i < depth; i++)
        *end++ = '[';
    for (size_t i = 1; i < depth; i++)
        *end++ = ']';
    *end = '}';
    return text;
}

static void deep_nesting_is_refused(void **state)
{
    static const struct {
        size_t depth;
        int status;
    } CASES[] = {{2, 0}, {64, 0}, {65, 400}, {100000, 400}};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct http_request request = {.request_id = "r-1"};
        request.body = nested(CASES[i].depth);
        request.body_length = strlen(request.body);
        json_t *object;
        assert_int_equal(http_json_body(&request, false, &object), CASES[i].status);
        json_decref(request.json);
        free(request.body);
        http_reply_reset(&request);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_values_are_taken),
        cmocka_unit_test(absent_optional_fields_leave_the_target),
        cmocka_unit_test(wrong_values_are_named),
        cmocka_unit_test(a_prefix_names_the_place),
        cmocka_unit_test(a_request_gets_a_problem),
        cmocka_unit_test(mutated_bodies_do_no_harm),
        cmocka_unit_test(bodies_that_are_no_object_are_refused),
        cmocka_unit_test(deep_nesting_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
