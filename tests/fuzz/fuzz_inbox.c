/* Bodies of POST /internal/events, after the signature: each is either refused with a problem
 * document, or gives events that are whole. The first line is the Content-Type. */
#include "shared/base/json.h"
#include "shared/http/http_identity.h"
#include "shared/http/http_reply.h"
#include "shared/http/http_request.h"
#include "shared/service/inbox_internal.h"
#include "tests/fuzz/fuzz.h"

static int unused_handler(struct db *tx, struct inbox_event *event)
{
    (void)tx;
    (void)event;
    return 0;
}

static const struct inbox_route ROUTES[] = {{"order.created", unused_handler}};

static void require_object(const char *text)
{
    AUTO_JSON json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    REQUIRE(json_is_object(json));
}

static void require_item(const struct inbox_item *item)
{
    const struct inbox_event *event = &item->event;
    REQUIRE(strlen(item->id) == 36 && strspn(item->id, "0123456789abcdef-") == 36);
    REQUIRE(*event->source && *event->type && *event->key && json_is_object(event->data));
    REQUIRE(!item->route == (strcmp(event->type, "order.created") != 0));
    if (!item->route)
        return;
    require_object(event->data_text);
    require_object(event->headers);
}

static void require_problem(const struct http_request *request, int status)
{
    AUTO_JSON json_t *problem =
        json_loadb(request->reply.body, request->reply.length, JSON_REJECT_DUPLICATES, NULL);
    REQUIRE((status == 400 || status == 415) && request->reply.status == status);
    REQUIRE(json_integer_value(json_object_get(problem, "status")) == status);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {(const char *)data, size};
    const char *line_end = size ? memchr(data, '\n', size) : NULL;
    size_t line = line_end ? (size_t)(line_end - input.data) : size;
    size_t rest = line_end ? size - line - 1 : 0;
    AUTO_FREE char *content_type = strndup(input.data, line);
    struct http_request request = {.method = "POST", .body_length = rest};
    struct inbox_batch batch = {0};
    http_identify(&request, "fuzz", NULL);
    request.body = malloc(rest + 1);
    REQUIRE(request.body && content_type);
    memcpy(request.body, line_end ? line_end + 1 : "", rest);
    request.body[rest] = '\0';
    int status = inbox_batch_read(&request, content_type, ROUTES, ARRAY_SIZE(ROUTES), &batch);
    if (status != 0)
        require_problem(&request, status);
    for (size_t i = 0; status == 0 && i < batch.count; i++)
        require_item(&batch.items[i]);
    inbox_batch_release(&batch);
    http_reply_reset(&request);
    json_decref(request.json);
    free(request.event_headers);
    free(request.body);
    return 0;
}
