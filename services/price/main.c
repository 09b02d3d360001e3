/* The price service: prices of products by quantity. */
#include "services/price/prices.h"
#include "services/price/product_copy.h"

#include "shared/service/service.h"

static const struct service SERVICE = {
    .name = "price",
    .port = 8006,
    .schema = &sql_price,
    .publishes = true,
    .demo = &sql_demo_price,
    .routes =
        {
            {"GET", "/prices", HTTP_OPEN, prices_list},
            {"PUT", "/manage/prices/{id}", HTTP_ADMIN, prices_replace},
        },
    .events =
        {
            {"product.changed", product_copy_update},
            {"product.archived", product_copy_update},
        },
};

int main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
