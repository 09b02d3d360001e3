/* POST /manage/products, PUT /manage/products/{id}, POST /manage/products/{id}/archive. Each
 * changes the product and emits its event in one statement. */
#include "services/product/manage.h"

#include "shared/http/fields.h"

#include <inttypes.h>
#include <string.h>

#define MAX_NAME_CHARS 200
#define MAX_DESCRIPTION_CHARS 4000

static const struct db_statement CREATE = {"product_create",
    "insert into product (name, description) values ($1, $2)"
    " returning product_id, emit_product(product, 'product.changed', $3)"};

static const struct db_statement CHANGE = {"product_change",
    "update product"
    " set name = $2, description = $3, version = version + 1, changed_at = now()"
    " where product_id = $1 and not archived"
    " returning product_id, emit_product(product, 'product.changed', $4)"};

static const struct db_statement ARCHIVE = {"product_archive",
    "update product set archived = true, version = version + 1, changed_at = now()"
    " where product_id = $1 and not archived"
    " returning product_id, emit_product(product, 'product.archived', $2)"};

static const struct db_statement EXISTS = {
    "product_exists", "select 1 from product where product_id = $1"};

/* What a product says; borrowed from the request. */
struct product_texts {
    const char *name;
    const char *description;
};

/* Returns 0 or the status of the problem replied with. */
static int parse_texts(struct http_request *request, struct product_texts *ret_texts)
{
    struct product_texts texts = {0};
    const struct field fields[] = {
        {"name", FIELD_TEXT, .min = 1, .max = MAX_NAME_CHARS, .target = &texts.name},
        {"description", FIELD_TEXT, .max = MAX_DESCRIPTION_CHARS, .target = &texts.description},
    };
    int status = fields_body(request, false, fields, ARRAY_SIZE(fields));
    if (status)
        return status;
    if (texts.name[strspn(texts.name, " \t\r\n")] == '\0')
        return http_problem_field(request, 400, "bad_field", "name", "name must not be blank");
    *ret_texts = texts;
    return 0;
}

static int reply_changed(struct http_request *request, const PGresult *result)
{
    return http_reply_json(request, 200,
        json_pack("{s:s, s:I}", "eventId", db_text(result, 0, 1), "productId",
            (json_int_t)db_int(result, 0, 0)));
}

/* Says why a change has found no product that it may change. */
static int reply_unchanged(struct http_request *request, struct db *tx)
{
    int64_t id = http_path_id(request, 0);
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(tx, &EXISTS, DB_PARAMS(DB_INT(id)), &result);
    if (error < 0)
        return error;
    if (PQntuples(result) == 0)
        return http_problem(request, 404, "not_found", "product %" PRId64 " not found", id);
    return http_problem(request, 409, "product_archived", "product %" PRId64 " is archived", id);
}

static int create_product(struct http_request *request, struct db *tx, void *context)
{
    const struct product_texts *texts = context;
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(tx, &CREATE,
        DB_PARAMS(DB_TEXT(texts->name), DB_TEXT(texts->description),
            DB_TEXT(http_event_headers(request))),
        &result);
    if (error < 0)
        return error;
    return reply_changed(request, result);
}

int manage_create(struct http_request *request)
{
    struct product_texts texts = {0};
    int status = parse_texts(request, &texts);
    if (status)
        return status;
    return http_transact(request, create_product, &texts);
}

static int change_product(struct http_request *request, struct db *tx, void *context)
{
    const struct product_texts *texts = context;
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(tx, &CHANGE,
        DB_PARAMS(DB_INT(http_path_id(request, 0)), DB_TEXT(texts->name),
            DB_TEXT(texts->description), DB_TEXT(http_event_headers(request))),
        &result);
    if (error < 0)
        return error;
    if (PQntuples(result) == 0)
        return reply_unchanged(request, tx);
    return reply_changed(request, result);
}

int manage_change(struct http_request *request)
{
    struct product_texts texts = {0};
    int status = parse_texts(request, &texts);
    if (status)
        return status;
    return http_transact(request, change_product, &texts);
}

static int archive_product(struct http_request *request, struct db *tx, void *context)
{
    (void)context;
    AUTO_RESULT PGresult *result = NULL;
    int error = db_query(tx, &ARCHIVE,
        DB_PARAMS(DB_INT(http_path_id(request, 0)), DB_TEXT(http_event_headers(request))), &result);
    if (error < 0)
        return error;
    if (PQntuples(result) == 0)
        return reply_unchanged(request, tx);
    return reply_changed(request, result);
}

int manage_archive(struct http_request *request)
{
    return http_transact(request, archive_product, NULL);
}
