/* order: orders, their items and their status. */
#include "services/order/order.h"
#include "shared/service/service.h"

static const struct service SERVICE = {
    .name = "order",
    .port = 8003,
    .schema = &sql_order,
    .publishes = true,
    .routes =
        {
            {"POST", "/users/{id}/orders", HTTP_OWNER, orders_create},
            {"GET", "/users/{id}/orders", HTTP_OWNER, orders_list},
            {"GET", "/users/{id}/orders/{id}", HTTP_OWNER, orders_get},
            {"POST", "/users/{id}/orders/{id}/add-items", HTTP_OWNER, items_add_request},
            {"POST", "/users/{id}/orders/{id}/remove-items", HTTP_OWNER, items_remove_request},
            {"POST", "/users/{id}/orders/{id}/confirm", HTTP_OWNER, status_confirm},
            {"POST", "/users/{id}/orders/{id}/reject", HTTP_OWNER, status_reject},
            {"GET", "/orders", HTTP_ADMIN, admin_list},
            {"POST", "/orders/find-by-filter", HTTP_ADMIN, admin_find},
        },
    .events =
        {
            {"billing.paymentcompleted", payments_completed},
            {"product.changed", catalog_product},
            {"product.archived", catalog_product},
            {"price.changed", catalog_price},
        },
};

int main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
