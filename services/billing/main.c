/* billing: accounts, bills and payment. */
#include "services/billing/account.h"
#include "services/billing/bills.h"
#include "services/billing/order_copy.h"
#include "services/billing/payment.h"
#include "services/billing/refund.h"
#include "shared/service/service.h"

static const struct service SERVICE = {
    .name = "billing",
    .port = 8002,
    .schema = &sql_billing,
    .publishes = true,
    .routes =
        {
            {"GET", "/accounts/by-user-id/{id}", HTTP_OWNER, account_get},
            {"POST", "/accounts/by-user-id/{id}/add-money", HTTP_OWNER, account_add_money},
            {"GET", "/accounts/by-user-id/{id}/bills", HTTP_OWNER, bills_list},
            {"GET", "/accounts/by-user-id/{id}/bills/{id}", HTTP_OWNER, bills_get},
            {"POST", "/accounts/by-user-id/{id}/bills/{id}/confirm", HTTP_OWNER, payment_confirm},
        },
    .events =
        {
            {"user.created", account_on_user_created},
            {"order.created", order_copy_on_changed},
            {"order.itemsadded", order_copy_on_changed},
            {"order.itemsremoved", order_copy_on_changed},
            {"order.confirmed", order_copy_on_changed},
            {"order.rejected", order_copy_on_changed},
            {"order.paymentrefused", refund_on_payment_refused},
        },
};

int main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
