/* product: texts of products and their search. */
#include "services/product/manage.h"
#include "services/product/search.h"
#include "shared/service/service.h"

static const struct service SERVICE = {
    .name = "product",
    .port = 8005,
    .schema = &sql_product,
    .publishes = true,
    .demo = &sql_demo_product,
    .routes =
        {
            {"GET", "/products/{id}", HTTP_OPEN, search_get},
            {"POST", "/products/find-by-filter", HTTP_OPEN, search_find},
            {"POST", "/manage/products", HTTP_ADMIN, manage_create},
            {"PUT", "/manage/products/{id}", HTTP_ADMIN, manage_change},
            {"POST", "/manage/products/{id}/archive", HTTP_ADMIN, manage_archive},
        },
};

int main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
