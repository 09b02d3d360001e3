/* notification: messages to users about their orders. */
#include "services/notification/messages.h"
#include "shared/service/service.h"

static const struct service SERVICE = {
    .name = "notification",
    .port = 8004,
    .schema = &sql_notification,
    .routes =
        {
            {"GET", "/users/{id}/notifications", HTTP_OWNER, messages_list},
        },
    .events =
        {
            {"order.confirmed", messages_on_order_step},
            {"order.completed", messages_on_order_step},
            {"order.rejected", messages_on_order_step},
        },
};

int main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
