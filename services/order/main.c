/* order: orders, their items and their status. */
#include "services/common/product_copy.h"
#include "services/order/admin.h"
#include "services/order/items.h"
#include "services/order/orders.h"
#include "services/order/payments.h"
#include "services/order/price_copy.h"
#include "services/order/status.h"
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
            {"POST", "/users/{id}/orders/{id}/add-items", HTTP_OWNER, items_add},
            {"POST", "/users/{id}/orders/{id}/remove-items", HTTP_OWNER, items_remove},
            {"POST", "/users/{id}/orders/{id}/confirm", HTTP_OWNER, status_confirm},
            {"POST", "/users/{id}/orders/{id}/reject", HTTP_OWNER, status_reject},
            {"GET", "/orders", HTTP_ADMIN, admin_list},
            {"POST", "/orders/find-by-filter", HTTP_ADMIN, admin_find},
        },
    .events =
        {
            {"billing.paymentcompleted", payments_on_completed},
            {"product.changed", product_copy_on_changed},
            {"product.archived", product_copy_on_changed},
            {"price.changed", price_copy_on_changed},
        },
};

int main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
