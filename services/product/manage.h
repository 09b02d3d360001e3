/* Entering, changing and archiving products. Each is one transaction with its event and answers
 * {"eventId", "productId"}. */
#ifndef PRODUCT_MANAGE_H
#define PRODUCT_MANAGE_H

#include "shared/http/http.h"

http_handler manage_create;  /* POST /manage/products {name, description} */
http_handler manage_change;  /* PUT /manage/products/{id} {name, description}; archived: 409 */
http_handler manage_archive; /* POST /manage/products/{id}/archive; archived already: 409 */

#endif
