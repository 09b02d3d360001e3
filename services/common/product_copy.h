/* A service's copy of what it must know of products: its own table product_copy, kept up to date by
 * the product service's events. */
#ifndef COMMON_PRODUCT_COPY_H
#define COMMON_PRODUCT_COPY_H

#include "shared/service/inbox.h"

/* product.changed, product.archived: keeps the newest version. */
inbox_handler product_copy_on_changed;

#endif
