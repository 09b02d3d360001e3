/* Finding the route by the raw path: ids, precedence, methods, and paths meant to trick. */
#include "shared/http/http_identity.h"
#include "shared/http/http_query.h"
#include "shared/http/http_reply.h"
#include "shared/http/http_request.h"
#include "shared/http/http_router.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int unused_handler(struct http_request *request)
{
    return http_reply(request, 200, NULL, NULL, 0);
}

static const struct http_route ROUTES[] = {
    {"GET", "/products/{id}", HTTP_OPEN, unused_handler},
    {"POST", "/products/find-by-filter", HTTP_OPEN, unused_handler},
    {"GET", "/users/{id}/orders", HTTP_OPEN, unused_handler},
    {"POST", "/users/{id}/orders", HTTP_OPEN, unused_handler},
    {"GET", "/users/{id}/orders/{id}", HTTP_OPEN, unused_handler},
    {"POST", "/users/{id}/orders/{id}/confirm", HTTP_OPEN, unused_handler},
    {"PUT", "/manage/prices/{id}", HTTP_OPEN, unused_handler},
};

static struct http_app app = {.settings = {.routes = ROUTES, .route_count = ARRAY_SIZE(ROUTES)}};

/* The status (0: found) for a request line; the request is to be released by the caller. */
static int route(struct http_request *request, const char *method, const char *path)
{
    memset(request, 0, sizeof *request);
    request->app = &app;
    request->method = method;
    request->path = strdup(path);
    assert_non_null(request->path);
    snprintf(request->request_id, sizeof request->request_id, "r-1");
    return http_route_find(request);
}

static void release(struct http_request *request)
{
    http_reply_reset(request);
    free(request->path);
}

static const char *reply_header(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->reply.header_count; i++) {
        if (strcmp(request->reply.headers[i].name, name) == 0)
            return request->reply.headers[i].value;
    }
    return NULL;
}

static void routes_are_found_with_their_ids(void **state)
{
    static const struct {
        const char *method, *path, *pattern;
        int64_t ids[2];
    } CASES[] = {
        {"GET", "/products/1", "/products/{id}", {1, 0}},
        {"HEAD", "/products/1", "/products/{id}", {1, 0}},
        {"GET", "/products/9223372036854775807", "/products/{id}", {INT64_MAX, 0}},
        {"POST", "/products/find-by-filter", "/products/find-by-filter", {0, 0}},
        {"GET", "/users/7/orders", "/users/{id}/orders", {7, 0}},
        {"GET", "/users/7/orders/12", "/users/{id}/orders/{id}", {7, 12}},
        {"POST", "/users/7/orders/12/confirm", "/users/{id}/orders/{id}/confirm", {7, 12}},
        {"GET", "/livez", "/livez", {0, 0}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct http_request request;
        assert_int_equal(route(&request, CASES[i].method, CASES[i].path), 0);
        assert_string_equal(request.route->path, CASES[i].pattern);
        assert_int_equal(http_path_id(&request, 0), CASES[i].ids[0]);
        assert_int_equal(http_path_id(&request, 1), CASES[i].ids[1]);
        assert_int_equal(http_path_id(&request, 2), 0);
        release(&request);
    }
}

static void others_are_refused(void **state)
{
    static const struct {
        const char *method, *path;
        int status;
        const char *part; /* of the problem, or of Allow for a 405 */
    } CASES[] = {
        {"GET", "/", 404, "not_found"}, {"GET", "/nothing", 404, "not_found"},
        {"GET", "/products", 404, "not_found"}, {"GET", "/products/", 404, "not_found"},
        {"GET", "/products/1/", 404, "not_found"}, {"GET", "/products/1/more", 404, "not_found"},
        {"GET", "/Products/1", 404, "not_found"},
        {"GET", "/users/7/orders/12/confirm/again", 404, "not_found"},
        {"GET", "/livez/", 404, "not_found"}, {"DELETE", "/products/1", 405, "GET, HEAD"},
        {"OPTIONS", "/users/7/orders", 405, "GET, HEAD, POST"},
        {"GET", "/products/find-by-filter", 405, "POST"}, {"get", "/products/1", 405, "GET, HEAD"},
        {"HEAD", "/users/7/orders/12/confirm", 405, "POST"}, {"POST", "/livez", 405, "GET, HEAD"},
        {"GET", "/products/0", 400, "products/{id}"}, {"GET", "/products/01", 400, "products/{id}"},
        {"GET", "/products/-1", 400, "products/{id}"},
        {"GET", "/products/+1", 400, "products/{id}"},
        {"GET", "/products/1.0", 400, "products/{id}"},
        {"GET", "/products/1e3", 400, "products/{id}"},
        {"GET", "/products/0x1", 400, "products/{id}"},
        {"GET", "/products/abc", 400, "products/{id}"},
        {"GET", "/products/1;a=b", 400, "products/{id}"},
        {"GET", "/products/9223372036854775808", 400, "products/{id}"},
        {"GET", "/products/99999999999999999999999999999999", 400, "products/{id}"},
        {"GET", "/users/x/orders/12", 400, "users/{id}"},
        {"GET", "/users/7/orders/y", 400, "orders/{id}"},
        {"POST", "/users/7/orders/y/confirm", 400, "orders/{id}"},
        {"GET", "products/1", 400, "bad_path"}, {"GET", "http://host/products/1", 400, "bad_path"},
        {"OPTIONS", "*", 400, "bad_path"}, {"GET", "", 400, "bad_path"},
        {"GET", "//products/1", 400, "bad_path"}, {"GET", "/products//1", 400, "bad_path"},
        {"GET", "/products/./1", 400, "bad_path"},
        {"GET", "/products/../products/1", 400, "bad_path"},
        {"GET", "/users/7/orders/..", 400, "bad_path"},
        {"GET", "/users/7/orders/.", 400, "bad_path"}, {"GET", "/products/%31", 400, "bad_path"},
        {"GET", "/products%2F1", 400, "bad_path"}, {"GET", "/products%2f1", 400, "bad_path"},
        {"GET", "/users/7%2F..%2F8/orders", 400, "bad_path"},
        {"GET", "/products/%252e%252e/1", 400, "bad_path"},
        {"GET", "/products/1%00", 400, "bad_path"}, {"GET", "/products\\1", 400, "bad_path"},
        {"GET", "/products/1\t", 400, "bad_path"},
        {"GET", "/products/\xC0\xAE\xC0\xAE/1", 400, "bad_path"},
        {"GET", "/products/\xEF\xBC\x91", 400, "bad_path"}, /* a full-width digit */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct http_request request;
        int status = route(&request, CASES[i].method, CASES[i].path);
        if (status != CASES[i].status)
            print_error("%s %s\n", CASES[i].method, CASES[i].path);
        assert_int_equal(status, CASES[i].status);
        if (status == 405)
            assert_string_equal(reply_header(&request, "Allow"), CASES[i].part);
        else
            assert_non_null(strstr(request.reply.body, CASES[i].part));
        release(&request);
    }
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* The path that a route and ids stand for. */
static void expand(const struct http_request *request, char *path)
{
    size_t id = 0;
    for (const char *pattern = request->route->path; *pattern; pattern++) {
        if (*pattern != '{') {
            *path++ = *pattern;
            continue;
        }
        path += sprintf(path, "%lld", (long long)request->path_ids[id++]);
        pattern += strlen("{id}") - 1;
    }
    *path = '\0';
}

/* Paths put together at random from good and bad parts: what is found is exactly what its route
 * and ids spell, so no path has two readings. */
static void a_found_route_spells_its_path(void **state)
{
    static const char *const PARTS[] = {"/", "products", "users", "orders", "7", "12", "0",
        "confirm", "find-by-filter", "..", ".", "%2F", "%", "\\", "9223372036854775807",
        "9223372036854775808", "/users/7", "/orders", "/products/", "livez", "\x01", "{id}", ";"};
    uint64_t seed = UINT64_C(2463534242);
    size_t found = 0;
    (void)state;
    for (int round = 0; round < 300000; round++) {
        char path[256] = "", again[256];
        char *end = path;
        for (uint64_t n = 1 + next_random(&seed) % 4; n > 0; n--) {
            end = stpcpy(end, next_random(&seed) % 16 ? "/" : "");
            end = stpcpy(end, PARTS[next_random(&seed) % ARRAY_SIZE(PARTS)]);
        }
        struct http_request request;
        int status = route(&request, next_random(&seed) % 2 ? "GET" : "POST", path);
        if (status == 0) {
            expand(&request, again);
            assert_string_equal(again, path);
            found++;
        } else {
            assert_true(status == 400 || status == 404 || status == 405);
        }
        release(&request);
    }
    assert_true(found > 1000);
}

static int parse_query(struct http_request *request, const char *query)
{
    memset(request, 0, sizeof *request);
    return http_query_parse(request, query);
}

static void queries_are_decoded(void **state)
{
    struct http_request request;
    const char *values[4];
    (void)state;
    assert_int_equal(
        parse_query(&request, "status=NEW&sort=userId%2CDESC&status=a+b&empty=&flag&&%C3%A4=%26"),
        0);
    assert_string_equal(http_query(&request, "sort"), "userId,DESC");
    assert_int_equal(http_query_all(&request, "status", values, 4), 2);
    assert_string_equal(values[0], "NEW");
    assert_string_equal(values[1], "a b");
    assert_int_equal(http_query_all(&request, "status", values, 1), 1);
    assert_string_equal(http_query(&request, "empty"), "");
    assert_string_equal(http_query(&request, "flag"), "");
    assert_string_equal(http_query(&request, "\xC3\xA4"), "&");
    assert_null(http_query(&request, "missing"));
    http_query_release(&request);
}

static void bad_queries_are_refused(void **state)
{
    static const char *const CASES[] = {"a=%", "a=%4", "a=%4g", "a=%g4", "a=%00", "a%00=b", "a=%FF",
        "a=%C0%80", "a=%%41", "a=1&b=%"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct http_request request;
        assert_int_equal(parse_query(&request, CASES[i]), -EINVAL);
        http_query_release(&request);
    }
    static char many[HTTP_MAX_QUERY_PARAMETERS * 2 + 2];
    for (size_t i = 0; i <= HTTP_MAX_QUERY_PARAMETERS; i++)
        memcpy(many + 2 * i, "a&", 2);
    many[sizeof many - 1] = '\0';
    struct http_request request;
    assert_int_equal(parse_query(&request, many), -EINVAL);
    http_query_release(&request);
}

static void pages_have_bounds(void **state)
{
    static const struct {
        const char *query;
        int status;
        int64_t page, size;
    } CASES[] = {
        {"", 0, 0, 20},
        {"page=3&size=100", 0, 3, 100},
        {"page=0&size=1", 0, 0, 1},
        {"page=1000000000", 0, 1000000000, 20},
        {"page=1000000001", 400, 0, 0},
        {"page=-1", 400, 0, 0},
        {"page=", 400, 0, 0},
        {"page=x", 400, 0, 0},
        {"size=0", 400, 0, 0},
        {"size=101", 400, 0, 0},
        {"size=9223372036854775808", 400, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct http_request request;
        int64_t page = -77, size = -77;
        assert_int_equal(parse_query(&request, CASES[i].query), 0);
        assert_int_equal(http_page_query(&request, "page", "size", &page, &size), CASES[i].status);
        assert_int_equal(page, CASES[i].status ? -77 : CASES[i].page);
        assert_int_equal(size, CASES[i].status ? -77 : CASES[i].size);
        http_query_release(&request);
        http_reply_reset(&request);
    }
}

static void identity_is_taken_or_made(void **state)
{
    static const char TRACE[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    static const struct {
        const char *traceparent;
        bool continued;
    } CASES[] = {
        {TRACE, true},
        {"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more", true},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more", false},
        {"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", false},
        {"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-00", false},
        {"00-00000000000000000000000000000000-b7ad6b7169203331-00", false},
        {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-00", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false},
        {"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-00", false},
        {"", false},
        {NULL, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct http_request request = {0};
        http_identify(&request, "a.B_9-", CASES[i].traceparent);
        assert_string_equal(request.request_id, "a.B_9-");
        assert_int_equal(strlen(request.traceparent), 55);
        bool same_trace = strncmp(request.traceparent + 3, TRACE + 3, 32) == 0;
        bool same_span = strncmp(request.traceparent + 36, TRACE + 36, 16) == 0;
        assert_int_equal(same_trace, CASES[i].continued);
        assert_false(same_span);
        assert_string_equal(request.traceparent + 52, CASES[i].continued ? "-00" : "-01");
    }

    static char longest[130];
    memset(longest, 'x', 128);
    struct http_request request = {0};
    http_identify(&request, longest, NULL);
    assert_string_equal(request.request_id, longest);

    static const char *const BAD[] = {"", "a b", "a\"b", "a\nb", "\xC3\xA4", NULL, longest};
    longest[128] = 'x';
    for (size_t i = 0; i < ARRAY_SIZE(BAD); i++) {
        http_identify(&request, BAD[i], NULL);
        assert_int_equal(strlen(request.request_id), 36);
        assert_int_equal(request.request_id[14], '4');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_found_with_their_ids),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(a_found_route_spells_its_path),
        cmocka_unit_test(queries_are_decoded),
        cmocka_unit_test(bad_queries_are_refused),
        cmocka_unit_test(pages_have_bounds),
        cmocka_unit_test(identity_is_taken_or_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
