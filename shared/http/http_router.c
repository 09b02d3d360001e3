/* Finds the route of a request by its raw, undecoded path. No route has a character that needs
 * encoding, so an encoded path is refused rather than decoded: there is no second reading of it. */
#include "shared/http/http_router.h"
#include "shared/base/id.h"
#include "shared/http/http_builtin.h"
#include "shared/http/http_request.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Whether the path may be compared at all: it begins with a slash, has no escapes, backslashes,
 * control or non-ASCII characters, and no empty, "." or ".." segment (a last empty one is only no
 * route). */
static bool is_plain_path(const char *path)
{
    if (*path != '/')
        return false;
    for (const char *c = path; *c; c++) {
        /* Whether plain char has a sign depends on the processor. */
        unsigned char byte = (unsigned char)*c;
        if (byte <= ' ' || byte >= 0x7F || byte == '%' || byte == '\\')
            return false;
        if (*c != '/')
            continue;
        size_t segment = strcspn(c + 1, "/");
        bool last = c[1 + segment] == '\0';
        if ((segment == 0 && !last) || (segment == 1 && c[1] == '.') ||
            (segment == 2 && c[1] == '.' && c[2] == '.'))
            return false;
    }
    return true;
}

static bool is_digits(const char *text, size_t length)
{
    return strspn(text, "0123456789") >= length;
}

/* Compares a path with a pattern, segment by segment. An {id} matches any segment that is not
 * empty, or only digits when `digits_only`. */
static bool matches(const char *pattern, const char *path, bool digits_only)
{
    while (*pattern == '/' && *path == '/') {
        pattern++;
        path++;
        size_t pattern_length = strcspn(pattern, "/");
        size_t length = strcspn(path, "/");
        if (*pattern == '{') {
            if (length == 0 || (digits_only && !is_digits(path, length)))
                return false;
        } else if (length != pattern_length || memcmp(pattern, path, length) != 0) {
            return false;
        }
        pattern += pattern_length;
        path += length;
    }
    return *pattern == '\0' && *path == '\0';
}

/* HEAD is GET without the body, which libmicrohttpd leaves out. */
static bool allows(const struct http_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static size_t route_count(const struct http_app *app)
{
    return app->settings.route_count + http_builtin_route_count;
}

static const struct http_route *route_at(const struct http_app *app, size_t index)
{
    size_t own = app->settings.route_count;
    return index < own ? &app->settings.routes[index] : &http_builtin_routes[index - own];
}

/* The route for the method; or NULL, and in *ret_any a route that has the path only (or NULL). */
static const struct http_route *find(
    const struct http_request *request, bool digits_only, const struct http_route **ret_any)
{
    *ret_any = NULL;
    for (size_t i = 0; i < route_count(request->app); i++) {
        const struct http_route *route = route_at(request->app, i);
        if (!matches(route->path, request->path, digits_only))
            continue;
        *ret_any = route;
        if (allows(route, request->method))
            return route;
    }
    return NULL;
}

static void append_method(char *list, size_t size, const char *method)
{
    size_t length = strlen(list);
    if (strstr(list, method) == NULL)
        snprintf(list + length, size - length, "%s%s", length ? ", " : "", method);
}

static int refuse_method(struct http_request *request, bool digits_only)
{
    char allow[128] = "";
    for (size_t i = 0; i < route_count(request->app); i++) {
        const struct http_route *route = route_at(request->app, i);
        if (!matches(route->path, request->path, digits_only))
            continue;
        append_method(allow, sizeof allow, route->method);
        if (strcmp(route->method, "GET") == 0)
            append_method(allow, sizeof allow, "HEAD");
    }
    http_reply_header(request, "Allow", allow);
    return http_problem(
        request, 405, "method_not_allowed", "this path allows the methods %s", allow);
}

/* Reads the ids of a path that matches its route's pattern; names the first that is none by the
 * segment before it, for example "orders/{id}". */
static int read_ids(struct http_request *request)
{
    const char *pattern = request->route->path, *path = request->path;
    const char *before = "";
    size_t before_length = 0;
    while (*pattern == '/') {
        pattern++;
        path++;
        size_t length = strcspn(path, "/");
        if (*pattern == '{') {
            int64_t *id = &request->path_ids[request->path_id_count];
            if (id_parse(path, length, id)) {
                char field[64];
                snprintf(field, sizeof field, "%.*s/{id}", (int)before_length, before);
                return http_problem_field(request, 400, "bad_path_id", field,
                    "%s in the path must be an integer from 1 to %" PRId64, field, INT64_MAX);
            }
            request->path_id_count++;
        }
        before = pattern;
        before_length = strcspn(pattern, "/");
        pattern += before_length;
        path += length;
    }
    return 0;
}

int http_route_find(struct http_request *request)
{
    if (!is_plain_path(request->path))
        return http_problem(request, 400, "bad_path",
            "the path must not have escapes, empty segments, \".\" or \"..\"");

    /* A literal segment ("find-by-filter") comes before an {id} that is no number. */
    const struct http_route *any;
    bool digits_only = true;
    request->route = find(request, digits_only, &any);
    if (!request->route && !any) {
        digits_only = false;
        request->route = find(request, digits_only, &any);
    }
    if (!any)
        return http_problem(request, 404, "not_found", "there is nothing at this path");
    if (!request->route) {
        request->route = any; /* for the metrics' label; no handler runs */
        return refuse_method(request, digits_only);
    }
    return read_ids(request);
}
