/* The service's copy of products' prices, so that adding an item needs no call to another service.
 */
#ifndef ORDER_PRICE_COPY_H
#define ORDER_PRICE_COPY_H

#include "shared/service/inbox.h"

/* price.changed: keeps the newest version. */
inbox_handler price_copy_on_changed;

#endif
