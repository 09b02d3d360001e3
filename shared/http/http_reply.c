/* Replies: kept in the request until its handler has returned, then sent. */
#include "shared/http/http_reply.h"
#include "shared/http/http_request.h"

#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PROBLEM_TYPE_BASE "https://arch.homework/problems/"
#define RETRY_AFTER_S "1"

static const char OUT_OF_MEMORY[] =
    "{\"type\":\"" PROBLEM_TYPE_BASE "internal\",\"title\":\"Internal\",\"status\":500,"
    "\"detail\":\"out of memory\",\"code\":\"internal\"}";

void http_reply_reset(struct http_request *request)
{
    struct http_reply *reply = &request->reply;
    free(reply->content_type);
    free(reply->body);
    for (size_t i = 0; i < reply->header_count; i++) {
        free(reply->headers[i].name);
        free(reply->headers[i].value);
    }
    memset(reply, 0, sizeof *reply);
}

/* Sets status, type and body, which is taken (NULL: an empty one). */
static int reply_take(
    struct http_request *request, int status, const char *content_type, void *body, size_t length)
{
    struct http_reply *reply = &request->reply;
    free(reply->content_type);
    free(reply->body);
    reply->status = status;
    reply->content_type = content_type ? strdup(content_type) : NULL;
    reply->body = body;
    reply->length = body ? length : 0;
    return status;
}

/* The one answer that needs no memory. */
static int reply_out_of_memory(struct http_request *request)
{
    return reply_take(request, 500, NULL, NULL, 0);
}

int http_reply(struct http_request *request, int status, const char *content_type, const void *body,
    size_t length)
{
    char *copy = malloc(length + 1);
    if (!copy)
        return reply_out_of_memory(request);
    if (length > 0)
        memcpy(copy, body, length);
    copy[length] = '\0';
    return reply_take(request, status, content_type, copy, length);
}

static int reply_json_as(
    struct http_request *request, int status, const char *content_type, json_t *take_value)
{
    char *text = take_value ? json_dumps(take_value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(take_value);
    if (!text)
        return reply_out_of_memory(request);
    return reply_take(request, status, content_type, text, strlen(text));
}

int http_reply_json(struct http_request *request, int status, json_t *take_value)
{
    return reply_json_as(request, status, "application/json", take_value);
}

int http_reply_json_text(struct http_request *request, int status, const char *json)
{
    return http_reply(request, status, "application/json", json, strlen(json));
}

void http_reply_header(struct http_request *request, const char *name, const char *value)
{
    struct http_reply *reply = &request->reply;
    struct http_pair *pair = NULL;
    for (size_t i = 0; i < reply->header_count && !pair; i++) {
        if (strcasecmp(reply->headers[i].name, name) == 0)
            pair = &reply->headers[i];
    }
    char *value_copy = strdup(value);
    char *name_copy = pair ? NULL : strdup(name);
    if (!value_copy || (!pair && (!name_copy || reply->header_count == HTTP_MAX_REPLY_HEADERS))) {
        free(value_copy);
        free(name_copy);
        return;
    }
    if (pair) {
        free(pair->value);
    } else {
        pair = &reply->headers[reply->header_count++];
        pair->name = name_copy;
    }
    pair->value = value_copy;
}

/* "not_enough_money" as a title: "Not enough money". */
static void title_of(const char *code, char *title, size_t size)
{
    size_t i = 0;
    for (; code[i] && i + 1 < size; i++)
        title[i] = code[i] == '_' ? ' ' : code[i];
    title[i] = '\0';
    if (title[0] >= 'a' && title[0] <= 'z')
        title[0] = (char)(title[0] - 'a' + 'A');
}

static int problem(struct http_request *request, int status, const char *code, const char *field,
    const char *format, va_list arguments) __attribute__((format(printf, 5, 0)));
static int problem(struct http_request *request, int status, const char *code, const char *field,
    const char *format, va_list arguments)
{
    char type[128], title[64], detail[512];
    snprintf(type, sizeof type, PROBLEM_TYPE_BASE "%s", code);
    title_of(code, title, sizeof title);
    vsnprintf(detail, sizeof detail, format, arguments);

    json_t *body = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "type", type, "title", title,
        "status", status, "detail", detail, "code", code, "requestId", request->request_id);
    if (!body) /* a detail cut in the middle of a character is no UTF-8 */
        body = json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", type, "title", title, "status",
            status, "code", code, "requestId", request->request_id);
    if (body && field && json_object_set_new(body, "field", json_string(field))) {
        json_decref(body);
        return reply_out_of_memory(request);
    }
    return reply_json_as(request, status, "application/problem+json", body);
}

int http_problem(
    struct http_request *request, int status, const char *code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    problem(request, status, code, NULL, format, arguments);
    va_end(arguments);
    return request->reply.status;
}

int http_problem_field(struct http_request *request, int status, const char *code,
    const char *field, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    problem(request, status, code, field, format, arguments);
    va_end(arguments);
    return request->reply.status;
}

static bool has_header(const struct http_reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->header_count; i++) {
        if (strcasecmp(reply->headers[i].name, name) == 0)
            return true;
    }
    return false;
}

/* The response with the reply's body, which it takes. NULL when out of memory. */
static struct MHD_Response *make_response(struct http_reply *reply)
{
    if (!reply->body && reply->status == 500) {
        free(reply->content_type);
        reply->content_type = NULL;
        struct MHD_Response *response = MHD_create_response_from_buffer(
            sizeof OUT_OF_MEMORY - 1, (void *)OUT_OF_MEMORY, MHD_RESPMEM_PERSISTENT);
        if (response)
            MHD_add_response_header(response, "Content-Type", "application/problem+json");
        return response;
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(reply->length, reply->body, MHD_RESPMEM_MUST_FREE);
    if (response) {
        reply->body = NULL;
        if (reply->content_type)
            MHD_add_response_header(response, "Content-Type", reply->content_type);
    }
    return response;
}

bool http_reply_send(struct http_request *request)
{
    struct http_reply *reply = &request->reply;
    struct MHD_Response *response = make_response(reply);
    if (!response)
        return false;

    MHD_add_response_header(response, "X-Request-Id", request->request_id);
    for (size_t i = 0; i < reply->header_count; i++)
        MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
    if (reply->status == 503 && !has_header(reply, "Retry-After"))
        MHD_add_response_header(response, "Retry-After", RETRY_AFTER_S);
    if (reply->status == 401 && !has_header(reply, "WWW-Authenticate"))
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    if (request->close || atomic_load(&request->app->stopping))
        MHD_add_response_header(response, "Connection", "close");

    request->answered =
        MHD_queue_response(request->connection, (unsigned)reply->status, response) == MHD_YES;
    MHD_destroy_response(response);
    return request->answered;
}
