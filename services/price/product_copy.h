/* The service's copy of what it must know of products. */
#ifndef PRICE_PRODUCT_COPY_H
#define PRICE_PRODUCT_COPY_H

#include "shared/service/inbox.h"

/* product.changed, product.archived: keeps the newest version. */
inbox_handler product_copy_update;

#endif
