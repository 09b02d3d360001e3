/* The notification service: messages to users about their orders. */
#include "services/notification/messages.h"

#include "shared/service/service.h"

static const struct http_route ROUTES[] = {
    {"GET", "/users/{id}/notifications", HTTP_OWNER, messages_list},
};

static const struct inbox_route INBOX[] = {
    {"order.confirmed", messages_add},
    {"order.completed", messages_add},
    {"order.rejected", messages_add},
};

int main(int argc, char **argv)
{
    static const struct service service = {
        .name = "notification",
        .port = 8004,
        .routes = ROUTES,
        .route_count = ARRAY_SIZE(ROUTES),
        .inbox = INBOX,
        .inbox_count = ARRAY_SIZE(INBOX),
        .schema = &sql_notification,
    };
    return service_main(&service, argc, argv);
}
