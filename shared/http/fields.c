/* Declared fields of a JSON object. */
#include "shared/http/fields.h"

#include "shared/base/id.h"
#include "shared/base/money.h"
#include "shared/base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int fail(struct field_error *error, const char *format, ...) PRINTF_LIKE(2, 3);
static int fail(struct field_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

static int read_text(const struct field *field, const json_t *value, struct field_error *error)
{
    const char *text = json_string_value(value);
    size_t length;
    if (!text || strlen(text) != json_string_length(value) || !utf8_valid(text, &length))
        return fail(error, "must be a string");
    if ((int64_t)length < field->min || (int64_t)length > field->max)
        return fail(error, "must be a string of %" PRId64 " to %" PRId64 " characters", field->min,
            field->max);
    *(const char **)field->target = text;
    return 0;
}

static int read_int(const struct field *field, const json_t *value, struct field_error *error)
{
    int64_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < field->min || number > field->max)
        return fail(
            error, "must be an integer from %" PRId64 " to %" PRId64, field->min, field->max);
    *(int64_t *)field->target = number;
    return 0;
}

static int read_money(const struct field *field, const json_t *value, struct field_error *error)
{
    char low[MONEY_TEXT_SIZE], high[MONEY_TEXT_SIZE];
    int64_t cents;
    if (money_from_json(value, &cents) || cents < field->min || cents > field->max)
        return fail(error,
            "must be an amount of money from %s to %s with at most 2 decimals, as a string or a "
            "number",
            money_text(field->min, low), money_text(field->max, high));
    *(int64_t *)field->target = cents;
    return 0;
}

static int read_array(const struct field *field, json_t *value, struct field_error *error)
{
    int64_t size = (int64_t)json_array_size(value);
    if (!json_is_array(value) || size < field->min || size > field->max)
        return fail(
            error, "must be an array of %" PRId64 " to %" PRId64 " items", field->min, field->max);
    *(json_t **)field->target = value;
    return 0;
}

static int read_object(const struct field *field, json_t *value, struct field_error *error)
{
    if (!json_is_object(value))
        return fail(error, "must be an object");
    *(json_t **)field->target = value;
    return 0;
}

static int read_ints(const struct field *field, json_t *value, struct field_error *error)
{
    int64_t size = (int64_t)json_array_size(value);
    bool good = json_is_array(value) && size >= field->min && size <= field->max;
    for (size_t i = 0; good && i < json_array_size(value); i++)
        good = json_integer_value(json_array_get(value, i)) > 0;
    if (!good)
        return fail(error,
            "must be an array of %" PRId64 " to %" PRId64 " integers, each from 1 to %" PRId64,
            field->min, field->max, INT64_MAX);
    *(json_t **)field->target = value;
    return 0;
}

static int read_value(const struct field *field, json_t *value, struct field_error *error)
{
    switch (field->type) {
    case FIELD_TEXT:
        return read_text(field, value, error);
    case FIELD_INT:
        return read_int(field, value, error);
    case FIELD_MONEY:
        return read_money(field, value, error);
    case FIELD_ARRAY:
        return read_array(field, value, error);
    case FIELD_OBJECT:
        return read_object(field, value, error);
    case FIELD_INTS:
        return read_ints(field, value, error);
    }
    return fail(error, "has an unknown type");
}

int fields_read(const json_t *object, const char *prefix, const struct field *fields, size_t count,
    struct field_error *ret_error)
{
    if (!json_is_object(object)) {
        size_t length = strlen(prefix); /* "items[2]." without its point */
        snprintf(ret_error->field, sizeof ret_error->field, "%.*s",
            length > 0 ? (int)length - 1 : 0, prefix);
        return fail(ret_error, "must be an object");
    }
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_object_get(object, fields[i].name);
        bool absent = !value || json_is_null(value);
        if (absent && fields[i].optional)
            continue;
        int error =
            absent ? fail(ret_error, "is required") : read_value(&fields[i], value, ret_error);
        if (error) {
            snprintf(ret_error->field, sizeof ret_error->field, "%s%s", prefix, fields[i].name);
            return error;
        }
    }
    return 0;
}

int fields_parse(struct http_request *request, const json_t *object, const char *prefix,
    const struct field *fields, size_t count)
{
    struct field_error error;
    if (fields_read(object, prefix, fields, count, &error) == 0)
        return 0;
    return http_problem_field(request, 400, "bad_field", error.field, "%s %s",
        error.field[0] ? error.field : "the body", error.message);
}

int fields_body(
    struct http_request *request, bool optional, const struct field *fields, size_t count)
{
    json_t *body = NULL;
    int status = http_json_body(request, optional, &body);
    return status || !body ? status : fields_parse(request, body, "", fields, count);
}

int field_parse_id(
    struct http_request *request, const char *name, const char *text, int64_t *ret_id)
{
    if (id_parse(text, strlen(text), ret_id) == 0)
        return 0;
    return http_problem_field(request, 400, "bad_field", name,
        "%s must be an integer from 1 to %" PRId64, name, INT64_MAX);
}
