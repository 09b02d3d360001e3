/* Query parameters: split, decoded strictly, looked up. */
#include "shared/http/http_query.h"
#include "shared/base/hex.h"
#include "shared/base/id.h"
#include "shared/base/utf8.h"
#include "shared/http/http_request.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PAGE_MAX 1000000000 /* times the largest size it is still a fine offset */
#define PAGE_SIZE_DEFAULT 20
#define PAGE_SIZE_MAX 100

/* Decodes '+' and %XX into `to`, which has room for `length` + 1. Returns 0 or -EINVAL. */
static int decode(const char *from, size_t length, char *to)
{
    for (size_t i = 0; i < length; i++) {
        if (from[i] != '%') {
            *to++ = from[i] == '+' ? ' ' : from[i];
            continue;
        }
        int high = i + 2 < length ? hex_digit(from[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(from[i + 2]) : -1;
        if (low < 0 || (high == 0 && low == 0))
            return -EINVAL;
        *to++ = (char)(high * 16 + low);
        i += 2;
    }
    *to = '\0';
    return 0;
}

static int decode_text(const char *from, size_t length, char **ret_text)
{
    char *text = malloc(length + 1);
    if (!text)
        return -ENOMEM;
    if (decode(from, length, text) || !utf8_valid(text, NULL)) {
        free(text);
        return -EINVAL;
    }
    *ret_text = text;
    return 0;
}

static int add_parameter(struct http_request *request, const char *text, size_t length)
{
    if (request->query_count == HTTP_MAX_QUERY_PARAMETERS)
        return -EINVAL;
    if (!request->query) {
        request->query = calloc(HTTP_MAX_QUERY_PARAMETERS, sizeof *request->query);
        if (!request->query)
            return -ENOMEM;
    }
    const char *equals = memchr(text, '=', length);
    size_t name_length = equals ? (size_t)(equals - text) : length;
    const char *value = equals ? equals + 1 : text + length;
    size_t value_length = equals ? length - name_length - 1 : 0;

    struct http_pair *pair = &request->query[request->query_count++];
    int error = decode_text(text, name_length, &pair->name);
    return error ? error : decode_text(value, value_length, &pair->value);
}

int http_query_parse(struct http_request *request, const char *query)
{
    while (*query) {
        size_t length = strcspn(query, "&");
        int error = length > 0 ? add_parameter(request, query, length) : 0;
        if (error)
            return error;
        query += length;
        if (*query == '&')
            query++;
    }
    return 0;
}

void http_query_release(struct http_request *request)
{
    for (size_t i = 0; i < request->query_count; i++) {
        free(request->query[i].name);
        free(request->query[i].value);
    }
    free(request->query);
    request->query = NULL;
    request->query_count = 0;
}

const char *http_query(const struct http_request *request, const char *name)
{
    const char *value = NULL;
    http_query_all(request, name, &value, 1);
    return value;
}

size_t http_query_all(
    const struct http_request *request, const char *name, const char **values, size_t max)
{
    size_t found = 0;
    for (size_t i = 0; i < request->query_count && found < max; i++) {
        if (strcmp(request->query[i].name, name) == 0)
            values[found++] = request->query[i].value;
    }
    return found;
}

/* An optional number of the query within [min, max]; 0 or the status. */
static int query_number(
    struct http_request *request, const char *name, int64_t min, int64_t max, int64_t *ret_number)
{
    const char *text = http_query(request, name);
    if (!text)
        return 0;
    int64_t number = 0;
    bool good = strcmp(text, "0") == 0 || id_parse(text, strlen(text), &number) == 0;
    if (!good || number < min || number > max)
        return http_problem_field(request, 400, "bad_field", name,
            "%s must be an integer from %" PRId64 " to %" PRId64, name, min, max);
    *ret_number = number;
    return 0;
}

int http_page_query(struct http_request *request, const char *page_name, const char *size_name,
    int64_t *ret_page, int64_t *ret_size)
{
    int64_t page = 0, size = PAGE_SIZE_DEFAULT;
    int status = query_number(request, page_name, 0, PAGE_MAX, &page);
    if (!status)
        status = query_number(request, size_name, 1, PAGE_SIZE_MAX, &size);
    if (status)
        return status;
    *ret_page = page;
    *ret_size = size;
    return 0;
}
