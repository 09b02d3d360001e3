/* Payments that billing tells of. */
#ifndef ORDER_PAYMENTS_H
#define ORDER_PAYMENTS_H

#include "shared/service/inbox.h"

/* billing.paymentcompleted: completes the order, or emits order.paymentrefused, so that billing
 * gives the money back. */
inbox_handler payments_on_completed;

#endif
