/* GET /users/{id}/notifications. Events: order.confirmed, order.completed, order.rejected. How the
 * list never skips a message that commits late: see sql/notification. */
#include "services/notification/messages.h"

#include "shared/http/fields.h"

static const struct db_statement ADD = {
    "notification_add", "select add_notification($1, $2, $3, $4, $5)"};

static const struct db_statement LIST = {
    "notification_list", "select list_notifications($1, $2, $3, $4)"};

int messages_on_order_step(struct db *tx, struct inbox_event *event)
{
    int64_t user_id = 0, order_id = 0;
    const struct field fields[] = {
        {"userId", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &user_id},
        {"orderId", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &order_id},
    };
    int error = inbox_fields(event, fields, ARRAY_SIZE(fields));
    if (error < 0)
        return error;
    return db_query(tx, &ADD,
        DB_PARAMS(DB_INT(user_id), DB_INT(order_id), DB_TEXT(event->id), DB_TEXT(event->type),
            DB_TEXT(event->data_text)),
        NULL);
}

int messages_list(struct http_request *request)
{
    int64_t page, size, after = 0;
    const char *after_text = http_query(request, "after");
    int status = http_page_query(request, "page", "size", &page, &size);
    if (status == 0 && after_text)
        status = field_parse_id(request, "after", after_text, &after);
    if (status)
        return status;
    return http_reply_query(request, NULL, &LIST,
        DB_PARAMS(DB_INT(http_path_id(request, 0)), DB_INT(after), DB_INT(page), DB_INT(size)));
}
