/* POST /change-password. */
#include "services/auth/credential.h"
#include "services/auth/handlers.h"
#include "services/auth/password.h"
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

static int emit_changed(struct http_request *request, struct db *tx, int64_t user_id)
{
    AUTO_JSON json_t *payload = json_pack("{s:I}", "userId", (json_int_t)user_id);
    char event_id[EVENT_ID_SIZE];

    if (payload == NULL)
        return -ENOMEM;
    return outbox_emit(tx,
        &(struct outbox_event){.aggregate_type = "user",
            .aggregate_id = user_id,
            .type = "user.passwordchanged",
            .payload = payload,
            .headers = http_event_headers(request)},
        event_id);
}

static int store(struct http_request *request, struct db *tx, void *context)
{
    const struct change *change = context;
    AUTO_RESULT PGresult *row = NULL;
    int ret;

    if (!change->old_matches)
        return http_problem(request, 403, "wrong_password", "the old password is wrong");
    ret = db_query(tx, &UPDATE,
        DB_PARAMS(
            DB_INT(change->user_id), DB_INT(change->password_version), DB_TEXT(change->new_hash)),
        &row);
    if (ret < 0)
        return ret;
    if (PQntuples(row) == 0)
        return http_problem(request, 403, "wrong_password",
            "the password has just been changed by another request");
    ret = emit_changed(request, tx, change->user_id);
    if (ret < 0)
        return ret;
    return http_reply_json_text(request, 200, "{}");
}

static int parse(struct http_request *request, struct change *change)
{
    const struct field fields[] = {
        {"oldPassword", FIELD_TEXT, false, 1, PASSWORD_MAX_CHARS, &change->old_password},
        {"newPassword", FIELD_TEXT, false, PASSWORD_MIN_CHARS, PASSWORD_MAX_CHARS,
            &change->new_password},
    };
    int status = fields_body(request, false, fields, ARRAY_SIZE(fields));
    return status != 0 ? status : conceal_body(request);
}

/* Compares the old password and hashes the new one, both before the transaction. */
static int hash_both(struct http_request *request, struct change *change)
{
    struct credential credential;
    int ret = credential_find_by_id(http_pool(request), change->user_id, &credential);

    if (ret == -ENOENT)
        return reply_unauthorized(request, "unauthorized", "the user does not exist any more");
    if (ret == 0)
        ret = password_verify(credential.password_hash, change->old_password, &change->old_matches);
    if (ret == 0 && change->old_matches)
        ret = password_hash(change->new_password, change->new_hash);
    if (ret < 0)
        return reply_failure(request, ret);
    change->password_version = credential.password_version;
    return 0;
}

int change_password(struct http_request *request)
{
    struct change change = {.user_id = http_claims(request)->user_id};
    int status = parse(request, &change);

    if (status == 0)
        status = hash_both(request, &change);
    /* A wrong old password goes there too: when the request is the repeat of one that has
     * succeeded (Idempotency-Key), its answer is that of the first. */
    if (status == 0)
        status = http_transact(request, store, &change);
    wipe_text(change.old_password);
    wipe_text(change.new_password);
    return status;
}
