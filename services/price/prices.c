/* GET /prices, PUT /manage/prices/{id}. The replacement itself, with history and event, is
 * set_prices() of sql/price. */
#include "services/price/prices.h"

#include "shared/base/money.h"
#include "shared/http/fields.h"

#include <inttypes.h>
#include <string.h>

#define MAX_IDS 100
#define MAX_ID_DIGITS 19 /* of the largest int64 */
#define MAX_TIERS 100
#define MAX_QUANTITY 1000000

static const struct db_statement LIST = {"price_list",
    "select coalesce(json_agg(json_build_object('priceId', price_id, 'productId', product_id,"
    "   'quantity', quantity, 'value', trim_scale(value)::text,"
    "   'fromDate', to_char(from_date at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),"
    "   'toDate', null) order by product_id, quantity), '[]')"
    " from price where to_date is null and product_id = any ($1::bigint[])"};

static const struct db_statement FIND_PRODUCT = {
    "price_find_product", "select archived from product_copy where product_id = $1"};

static const struct db_statement REPLACE = {"price_replace", "select set_prices($1, $2, $3)"};

/* The text of a bigint[]: "{1,22,333". */
struct id_array {
    size_t count;
    size_t length;
    char text[1 + MAX_IDS * (MAX_ID_DIGITS + 1) + 2];
};

static int reply_ids_count(struct http_request *request)
{
    return http_problem_field(request, 400, "bad_field", "productIds",
        "productIds must be 1 to %d identifiers, separated by commas", MAX_IDS);
}

/* Adds the ids of one value, "1,22". Returns 0 or the status of the problem replied with. */
static int add_ids(struct http_request *request, const char *list, struct id_array *ids)
{
    for (const char *next = list; next;) {
        size_t length = strcspn(next, ",");
        char one[MAX_ID_DIGITS + 2]; /* a character more than any id: what is too long stays so */
        snprintf(one, sizeof(one), "%.*s", (int)length, next);
        int64_t id = 0;
        int status = field_parse_id(request, "productIds", one, &id);
        if (status)
            return status;
        if (++ids->count > MAX_IDS)
            return reply_ids_count(request);
        ids->length += (size_t)snprintf(ids->text + ids->length, sizeof(ids->text) - ids->length,
            "%c%" PRId64, ids->count == 1 ? '{' : ',', id);
        next = next[length] == ',' ? next + length + 1 : NULL;
    }
    return 0;
}

int prices_list(struct http_request *request)
{
    const char *values[MAX_IDS + 1];
    size_t count = http_query_all(request, "productIds", values, ARRAY_SIZE(values));
    if (count == 0 || count > MAX_IDS)
        return reply_ids_count(request);
    struct id_array ids = {0};
    for (size_t i = 0; i < count; i++) {
        int status = add_ids(request, values[i], &ids);
        if (status)
            return status;
    }
    memcpy(ids.text + ids.length, "}", 2);
    return http_reply_query(request, NULL, &LIST, DB_PARAMS(DB_TEXT(ids.text)));
}

/* Checks one tier and adds it to `tiers` in canonical form. Returns 0 or the status of the problem
 * replied with. */
static int add_tier(struct http_request *request, const json_t *item, size_t index,
    int64_t *last_quantity, json_t *tiers)
{
    int64_t quantity = 0, value = 0;
    const struct field fields[] = {
        {"quantity", FIELD_INT, .min = 1, .max = MAX_QUANTITY, .target = &quantity},
        {"value", FIELD_MONEY, .max = MONEY_MAX, .target = &value},
    };
    char prefix[32];
    snprintf(prefix, sizeof(prefix), "prices[%zu].", index);
    int status = fields_parse(request, item, prefix, fields, ARRAY_SIZE(fields));
    if (status)
        return status;
    if (index == 0 && quantity != 1)
        return http_problem_field(request, 400, "bad_field", "prices[0].quantity",
            "prices[0].quantity must be 1, for the first tier begins with the first unit");
    if (quantity <= *last_quantity) {
        char name[sizeof(prefix) + sizeof("quantity")];
        snprintf(name, sizeof(name), "%squantity", prefix);
        return http_problem_field(request, 400, "bad_field", name,
            "%s must be above that of the tier before, %" PRId64, name, *last_quantity);
    }
    *last_quantity = quantity;
    char text[MONEY_TEXT_SIZE];
    if (json_array_append_new(tiers, json_pack("{s:I, s:s}", "quantity", (json_int_t)quantity,
                                         "value", money_text(value, text))) < 0)
        return http_problem(request, 500, "internal", "out of memory");
    return 0;
}

/* Gives the tiers as JSON text, the caller's to free. Returns 0 or the status of the problem
 * replied with. */
static int parse_tiers(struct http_request *request, char **ret_text)
{
    json_t *prices = NULL;
    const struct field fields[] = {
        {"prices", FIELD_ARRAY, .min = 1, .max = MAX_TIERS, .target = &prices},
    };
    int status = fields_body(request, false, fields, ARRAY_SIZE(fields));
    if (status)
        return status;
    AUTO_JSON json_t *tiers = json_array();
    int64_t last_quantity = 0;
    for (size_t i = 0; i < json_array_size(prices); i++) {
        status = add_tier(request, json_array_get(prices, i), i, &last_quantity, tiers);
        if (status)
            return status;
    }
    char *text = json_dumps(tiers, JSON_COMPACT);
    if (!text)
        return http_problem(request, 500, "internal", "out of memory");
    *ret_text = text;
    return 0;
}

static int replace_prices(struct http_request *request, struct db *tx, void *context)
{
    const char *tiers = context;
    int64_t id = http_path_id(request, 0);
    AUTO_RESULT PGresult *product = NULL;
    int error = db_query(tx, &FIND_PRODUCT, DB_PARAMS(DB_INT(id)), &product);
    if (error < 0)
        return error;
    if (PQntuples(product) == 0)
        return http_problem(
            request, 404, "unknown_product", "product %" PRId64 " is not known", id);
    if (db_bool(product, 0, 0))
        return http_problem(
            request, 409, "product_archived", "product %" PRId64 " is archived", id);
    AUTO_RESULT PGresult *event = NULL;
    error = db_query(tx, &REPLACE,
        DB_PARAMS(DB_INT(id), DB_TEXT(tiers), DB_TEXT(http_event_headers(request))), &event);
    if (error < 0)
        return error;
    return http_reply_json(request, 200,
        json_pack("{s:s, s:I}", "eventId", db_text(event, 0, 0), "productId", (json_int_t)id));
}

int prices_replace(struct http_request *request)
{
    AUTO_FREE char *tiers = NULL;
    int status = parse_tiers(request, &tiers);
    if (status)
        return status;
    return http_transact(request, replace_prices, tiers);
}
