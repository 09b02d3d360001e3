/* POST /change-password. */
#include "services/auth/change_password.h"

#include "services/auth/conceal.h"
#include "services/auth/credential.h"
#include "services/auth/password.h"
#include "services/auth/replies.h"
#include "services/auth/secret.h"
#include "shared/db/outbox.h"
#include "shared/http/fields.h"

#include <errno.h>

/* Only while the password is still the one that was compared. */
static const struct db_statement UPDATE = {"credential_change_password",
    "update credential set password_hash = $3, password_version = password_version + 1,"
    " password_changed_at = clock_timestamp() where id = $1 and password_version = $2"
    " returning id"};

struct change {
    const char *old_password, *new_password; /* borrowed from the body */
    int64_t user_id, password_version;
    bool old_matches;
    char new_hash[PASSWORD_HASH_SIZE];
};

/* Returns 0 or the status of the problem replied with. */
static int parse_change(struct http_request *request, struct change *change)
{
    const struct field fields[] = {
        {"oldPassword", FIELD_TEXT, .min = 1, .max = PASSWORD_MAX_CHARS,
            .target = &change->old_password},
        {"newPassword", FIELD_TEXT, .min = PASSWORD_MIN_CHARS, .max = PASSWORD_MAX_CHARS,
            .target = &change->new_password},
    };
    int status = fields_body(request, false, fields, ARRAY_SIZE(fields));
    if (status)
        return status;
    return conceal_body(request);
}

/* Compares the old password and hashes the new one, both before the transaction. Returns 0 or the
 * status of the problem replied with. */
static int hash_both(struct http_request *request, struct change *change)
{
    struct credential credential = {0};
    int error = credential_find_by_id(http_pool(request), change->user_id, &credential);
    if (error == -ENOENT)
        return reply_unauthorized(request, "unauthorized", "the user no longer exists");
    if (error == 0)
        error =
            password_verify(credential.password_hash, change->old_password, &change->old_matches);
    if (error == 0 && change->old_matches)
        error = password_hash(change->new_password, change->new_hash);
    if (error < 0)
        return reply_failure(request, error);
    change->password_version = credential.password_version;
    return 0;
}

static int emit_changed(struct http_request *request, struct db *tx, int64_t user_id)
{
    AUTO_JSON json_t *payload = json_pack("{s:I}", "userId", (json_int_t)user_id);
    if (!payload)
        return -ENOMEM;
    return outbox_emit(tx,
        &(struct outbox_event){.aggregate_type = "user",
            .aggregate_id = user_id,
            .type = "user.passwordchanged",
            .payload = payload,
            .headers = http_event_headers(request)},
        NULL);
}

/* A wrong old password is refused here and not before: when the request is the repeat of one that
 * has succeeded (Idempotency-Key), its answer is that of the first. */
static int store_change(struct http_request *request, struct db *tx, void *context)
{
    const struct change *change = context;
    if (!change->old_matches)
        return http_problem(request, 403, "wrong_password", "the old password is wrong");
    AUTO_RESULT PGresult *row = NULL;
    int error = db_query(tx, &UPDATE,
        DB_PARAMS(
            DB_INT(change->user_id), DB_INT(change->password_version), DB_TEXT(change->new_hash)),
        &row);
    if (error < 0)
        return error;
    if (PQntuples(row) == 0)
        return http_problem(request, 403, "wrong_password",
            "the password has just been changed by another request");
    error = emit_changed(request, tx, change->user_id);
    if (error < 0)
        return error;
    return http_reply_json_text(request, 200, "{}");
}

int change_password(struct http_request *request)
{
    struct change change = {.user_id = http_claims(request)->user_id};
    int status = parse_change(request, &change);
    if (status == 0)
        status = hash_both(request, &change);
    if (status == 0)
        status = http_transact(request, store_change, &change);
    secret_wipe(change.old_password);
    secret_wipe(change.new_password);
    return status;
}
