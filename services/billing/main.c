/* billing: accounts, bills and payment. */
#include "services/billing/billing.h"
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
            {"user.created", account_user_created},
            {"order.created", order_changed},
            {"order.itemsadded", order_changed},
            {"order.itemsremoved", order_changed},
            {"order.confirmed", order_changed},
            {"order.rejected", order_changed},
            {"order.paymentrefused", refund_refused_payment},
        },
};

int main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
