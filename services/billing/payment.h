/* Paying a bill. */
#ifndef BILLING_PAYMENT_H
#define BILLING_PAYMENT_H

#include "shared/http/http.h"

/* POST /accounts/by-user-id/{id}/bills/{id}/confirm -> {eventId}. Emits billing.paymentcompleted.
 * 409: the bill is not open or empty, or costs more than the account has. */
http_handler payment_confirm;

#endif
