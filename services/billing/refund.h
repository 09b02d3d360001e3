/* Giving back what was paid in vain. */
#ifndef BILLING_REFUND_H
#define BILLING_REFUND_H

#include "shared/service/inbox.h"

/* order.paymentrefused: the money goes back, once, and the order, while it can be paid, gets a new
 * bill. Emits billing.paymentrefunded. */
inbox_handler refund_on_payment_refused;

#endif
