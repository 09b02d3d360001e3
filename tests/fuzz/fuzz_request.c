/* Request lines and headers that clients send to a service: method, path, query, X-Request-Id,
 * traceparent, with a NUL between them. */
#include "shared/base/json.h"
#include "shared/base/utf8.h"
#include "shared/http/http_identity.h"
#include "shared/http/http_query.h"
#include "shared/http/http_reply.h"
#include "shared/http/http_request.h"
#include "shared/http/http_router.h"
#include "tests/fuzz/fuzz.h"

static int unused_handler(struct http_request *request)
{
    return http_reply(request, 200, NULL, NULL, 0);
}

static const struct http_route ROUTES[] = {
    {"GET", "/products/{id}", HTTP_OPEN, unused_handler},
    {"POST", "/products/find-by-filter", HTTP_OPEN, unused_handler},
    {"GET", "/users/{id}/orders/{id}", HTTP_OPEN, unused_handler},
    {"POST", "/users/{id}/orders/{id}/confirm", HTTP_OPEN, unused_handler},
};

static struct http_app app = {.settings = {.routes = ROUTES, .route_count = ARRAY_SIZE(ROUTES)}};

/* Every refusal is a problem document. */
static void require_problem(const struct http_request *request, int status)
{
    AUTO_JSON json_t *problem =
        json_loadb(request->reply.body, request->reply.length, JSON_REJECT_DUPLICATES, NULL);
    REQUIRE(status >= 400 && status < 500 && request->reply.status == status);
    REQUIRE(json_integer_value(json_object_get(problem, "status")) == status);
    REQUIRE(json_string_value(json_object_get(problem, "code")));
}

/* The pattern with its ids filled in is the path: there is one way to write it. */
static void require_path(const struct http_request *request)
{
    char path[256];
    size_t length = 0, ids = 0;
    for (const char *c = request->route->path; *c; c++) {
        if (*c != '{') {
            path[length++] = *c;
            continue;
        }
        length += (size_t)snprintf(
            path + length, sizeof(path) - length, "%lld", (long long)http_path_id(request, ids++));
        c += strcspn(c, "}");
    }
    path[length] = '\0';
    REQUIRE(ids == request->path_id_count);
    REQUIRE(strcmp(path, request->path) == 0);
}

static void find_route(struct http_request *request)
{
    int status = http_route_find(request);
    if (status == 0)
        require_path(request);
    else
        require_problem(request, status);
}

/* Each part of the query is one pair of texts, as long as it stands there with three characters for
 * each escape. */
static void require_pairs(const struct http_request *request, const char *query)
{
    size_t pairs = 0;
    for (; *query; query += *query == '&') {
        size_t length = strcspn(query, "&"), decoded = length;
        bool named = memchr(query, '=', length) != NULL;
        for (size_t i = 0; i < length; i++)
            decoded -= query[i] == '%' ? 2 : 0;
        query += length;
        if (length == 0)
            continue;
        REQUIRE(pairs < request->query_count);
        const struct http_pair *pair = &request->query[pairs++];
        REQUIRE(strlen(pair->name) + named + strlen(pair->value) == decoded);
        REQUIRE(utf8_valid(pair->name, NULL) && utf8_valid(pair->value, NULL));
    }
    REQUIRE(pairs == request->query_count);
}

static void parse_query(struct http_request *request, const char *query)
{
    int64_t page = -1, size = -1;
    if (http_query_parse(request, query) == 0) {
        require_pairs(request, query);
        int status = http_page_query(request, "page", "size", &page, &size);
        if (status != 0)
            require_problem(request, status);
        else
            REQUIRE(page >= 0 && size >= 1 && size <= 100);
    }
    http_query_release(request);
}

/* Whatever the client says, they are safe in a header, a log line and an event. */
static void identify(struct http_request *request, const char *id, const char *traceparent)
{
    http_identify(request, id, traceparent);
    REQUIRE(strlen(request->request_id) > 0);
    REQUIRE(strlen(request->traceparent) == TRACEPARENT_LENGTH);
    REQUIRE(strspn(request->traceparent, "0123456789abcdef-") == TRACEPARENT_LENGTH);
    AUTO_JSON json_t *headers = json_loads(http_event_headers(request), 0, NULL);
    const char *in_event = json_string_value(json_object_get(headers, "requestid"));
    REQUIRE(in_event && strcmp(in_event, request->request_id) == 0);
    free(request->event_headers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {(const char *)data, size};
    AUTO_FREE char *method = fuzz_text(&input);
    AUTO_FREE char *path = fuzz_text(&input);
    AUTO_FREE char *query = fuzz_text(&input);
    AUTO_FREE char *id = fuzz_text(&input);
    AUTO_FREE char *traceparent = fuzz_text(&input);
    struct http_request request = {.app = &app, .method = method, .path = path};
    identify(&request, id, traceparent);
    find_route(&request);
    http_reply_reset(&request);
    parse_query(&request, query);
    http_reply_reset(&request);
    return 0;
}
