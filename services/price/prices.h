/* The prices of products: reading those in force, and replacing them. */
#ifndef PRICE_PRICES_H
#define PRICE_PRICES_H

#include "shared/http/http.h"

/* GET /prices?productIds=1,2 -> [{priceId, productId, quantity, value, fromDate, toDate}], by
 * product and quantity. A product without prices has no rows. */
http_handler prices_list;

/* PUT /manage/prices/{productId} {prices: [{quantity, value}]} -> {eventId, productId}. Unknown
 * product: 404, archived: 409. */
http_handler prices_replace;

#endif
