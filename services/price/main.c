/* price: prices of products by quantity. */
#include "services/common/product_copy.h"
#include "services/price/prices.h"
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
            {"product.changed", product_copy_on_changed},
            {"product.archived", product_copy_on_changed},
        },
};

int main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
