/* What a handler may ask of its request, and the JSON of its body. */
#include "shared/http/http_request.h"
#include "shared/base/json.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

int64_t http_path_id(const struct http_request *request, size_t index)
{
    return index < request->path_id_count ? request->path_ids[index] : 0;
}

const char *http_header(const struct http_request *request, const char *name)
{
    if (!request->connection)
        return NULL;
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const void *http_body(const struct http_request *request, size_t *ret_length)
{
    *ret_length = request->body_length;
    return request->body ? request->body : "";
}

const struct auth_claims *http_claims(const struct http_request *request)
{
    return request->has_claims ? &request->claims : NULL;
}

const char *http_request_id(const struct http_request *request)
{
    return request->request_id;
}

const char *http_event_headers(struct http_request *request)
{
    /* Neither value has a character that JSON would escape. */
    if (!request->event_headers &&
        asprintf(&request->event_headers, "{\"traceparent\":\"%s\",\"requestid\":\"%s\"}",
            request->traceparent, request->request_id) < 0)
        request->event_headers = NULL;
    return request->event_headers ? request->event_headers : "{}";
}

struct db_pool *http_pool(const struct http_request *request)
{
    return request->app->settings.pool;
}

/* The deepest nesting of the text, found before it is parsed: the parser recurses. What stands in
 * strings does not count; whether all of it is JSON at all is the parser's to say. */
static size_t nesting(const char *text, size_t length)
{
    size_t depth = 0, deepest = 0;
    bool in_string = false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '[' || c == '{') && ++depth > deepest)
            deepest = depth;
        else if (!in_string && (c == ']' || c == '}') && depth > 0)
            depth--;
    }
    return deepest;
}

/* Says what is wrong without repeating the body, which may hold a password. */
static const char *json_complaint(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_duplicate_key:
        return "an object has the same member twice";
    case json_error_numeric_overflow:
        return "a number is too large";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "a string contains the character NUL";
    case json_error_invalid_utf8:
        return "it is not UTF-8";
    case json_error_premature_end_of_input:
        return "it ends too early";
    case json_error_end_of_input_expected:
        return "something follows its end";
    default:
        return "it is not JSON";
    }
}

/* Finds the first number that no int64 holds in a document whose integers were read as reals, and
 * writes its name, such as "items[2].quantity", behind the `used` characters of `name`. */
static bool name_huge_number(const json_t *value, char *name, size_t used, size_t size)
{
    const char *key;
    json_t *child;
    size_t index;

    if (json_is_real(value))
        return json_real_value(value) >= 0x1p63 || json_real_value(value) <= -0x1p63;
    json_object_foreach((json_t *)value, key, child)
    {
        int length = snprintf(name + used, size - used, "%s%s", used ? "." : "", key);
        if (length >= 0 && (size_t)length < size - used &&
            name_huge_number(child, name, used + (size_t)length, size))
            return true;
    }
    json_array_foreach(value, index, child)
    {
        int length = snprintf(name + used, size - used, "[%zu]", index);
        if (length >= 0 && (size_t)length < size - used &&
            name_huge_number(child, name, used + (size_t)length, size))
            return true;
    }
    return false;
}

/* The parser stops at an integer beyond int64, and does not tell where in the document that is. */
static int refuse_number(
    struct http_request *request, const char *text, size_t length, const json_error_t *error)
{
    char name[128] = "";
    AUTO_JSON json_t *value =
        json_loadb(text, length, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
    if (value && name_huge_number(value, name, 0, sizeof(name)) && *name)
        return http_problem_field(
            request, 400, "bad_field", name, "%s is too large a number", name);
    return http_problem(request, 400, "bad_json", "the body can't be read: line %d: %s",
        error->line, json_complaint(error));
}

int http_json_value(struct http_request *request, const json_t **ret_value)
{
    size_t length;
    const char *text = http_body(request, &length);
    if (nesting(text, length) > HTTP_JSON_MAX_DEPTH)
        return http_problem(request, 400, "bad_json", "the body is nested deeper than %d levels",
            HTTP_JSON_MAX_DEPTH);
    if (!request->json) {
        json_error_t error;
        request->json = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
        if (!request->json && json_error_code(&error) == json_error_numeric_overflow)
            return refuse_number(request, text, length, &error);
        if (!request->json && !*error.text) /* so jansson shows that it had no memory */
            return http_problem(request, 500, "internal", "out of memory");
        if (!request->json)
            return http_problem(request, 400, "bad_json", "the body can't be read: line %d: %s",
                error.line, json_complaint(&error));
    }
    *ret_value = request->json;
    return 0;
}

int http_json_body(struct http_request *request, bool optional, json_t **ret_object)
{
    if (request->body_length == 0 && optional) {
        *ret_object = NULL;
        return 0;
    }
    if (request->body_length == 0)
        return http_problem(request, 400, "bad_json", "the body must be a JSON object, not empty");
    const json_t *value = NULL;
    int status = http_json_value(request, &value);
    if (status != 0)
        return status;
    if (!json_is_object(value))
        return http_problem(request, 400, "bad_json", "the body must be a JSON object");
    *ret_object = request->json;
    return 0;
}
