/* The product service: texts of products and their search. */
#include "services/product/manage.h"
#include "services/product/search.h"

#include "shared/service/service.h"

static const struct http_route ROUTES[] = {
    {"GET", "/products/{id}", HTTP_OPEN, search_get},
    {"POST", "/products/find-by-filter", HTTP_OPEN, search_find},
    {"POST", "/manage/products", HTTP_ADMIN, manage_create},
    {"PUT", "/manage/products/{id}", HTTP_ADMIN, manage_change},
    {"POST", "/manage/products/{id}/archive", HTTP_ADMIN, manage_archive},
};

int main(int argc, char **argv)
{
    static const struct service service = {
        .name = "product",
        .port = 8005,
        .routes = ROUTES,
        .route_count = ARRAY_SIZE(ROUTES),
        .schema = &sql_product,
        .publishes = true,
        .demo = &sql_demo_product,
    };
    return service_main(&service, argc, argv);
}
