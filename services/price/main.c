/* The price service: prices of products by quantity. */
#include "services/price/prices.h"
#include "services/price/product_copy.h"

#include "shared/service/service.h"

static const struct http_route ROUTES[] = {
    {"GET", "/prices", HTTP_OPEN, prices_list},
    {"PUT", "/manage/prices/{id}", HTTP_ADMIN, prices_replace},
};

static const struct inbox_route INBOX[] = {
    {"product.changed", product_copy_update},
    {"product.archived", product_copy_update},
};

int main(int argc, char **argv)
{
    static const struct service service = {
        .name = "price",
        .port = 8006,
        .routes = ROUTES,
        .route_count = ARRAY_SIZE(ROUTES),
        .inbox = INBOX,
        .inbox_count = ARRAY_SIZE(INBOX),
        .schema = &sql_price,
        .publishes = true,
        .demo = &sql_demo_price,
    };
    return service_main(&service, argc, argv);
}
