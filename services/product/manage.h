/* Entering, changing and archiving products. Each replies {eventId, productId}. */
#ifndef PRODUCT_MANAGE_H
#define PRODUCT_MANAGE_H

#include "shared/http/http.h"

/* POST /manage/products {name, description}. Emits product.changed. */
http_handler manage_create;

/* PUT /manage/products/{id} {name, description}. Emits product.changed. 409: the product is
 * archived. */
http_handler manage_change;

/* POST /manage/products/{id}/archive. Emits product.archived. 409: it is archived already. */
http_handler manage_archive;

#endif
