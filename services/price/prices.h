/* The prices of products: those in force, and replacing them. */
#ifndef PRICE_PRICES_H
#define PRICE_PRICES_H

#include "shared/http/http.h"

/* GET /prices?productIds=1,2 -> [{priceId, productId, quantity, value, fromDate, toDate}], by
 * productId and quantity. A product without prices has no rows. */
http_handler prices_list;

/* PUT /manage/prices/{id} {prices: [{quantity, value}]} -> {eventId, productId}. Emits
 * price.changed. 404: unknown product, 409: archived. */
http_handler prices_replace;

#endif
