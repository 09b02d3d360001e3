/* POST /register/init, POST /register/init-admin. */
#include "services/auth/register.h"

#include "services/auth/conceal.h"
#include "services/auth/password.h"
#include "services/auth/replies.h"
#include "services/auth/secret.h"
#include "services/auth/settings.h"
#include "services/auth/username.h"
#include "shared/db/outbox.h"
#include "shared/http/fields.h"

#include <errno.h>
#include <string.h>

static const struct db_statement INSERT = {"credential_insert",
    "insert into credential (username, role, password_hash) values ($1, $2, $3)"
    " on conflict (username_key) do nothing returning id"};

struct registration {
    const char *username, *password; /* borrowed from the body */
    const char *role, *event_type;
    char password_hash[PASSWORD_HASH_SIZE];
};

/* Returns 0 or the status of the problem replied with. */
static int parse_registration(struct http_request *request, struct registration *registration)
{
    const struct field fields[] = {
        {"username", FIELD_TEXT, .min = 1, .max = USERNAME_MAX_CHARS,
            .target = &registration->username},
        {"password", FIELD_TEXT, .min = PASSWORD_MIN_CHARS, .max = PASSWORD_MAX_CHARS,
            .target = &registration->password},
    };
    int status = fields_body(request, false, fields, ARRAY_SIZE(fields));
    if (status)
        return status;
    const char *objection = username_objection(registration->username);
    if (objection)
        return http_problem_field(request, 400, "bad_field", "username", "username %s", objection);
    return conceal_body(request);
}

static int emit_created(struct http_request *request, struct db *tx,
    const struct registration *registration, int64_t id)
{
    AUTO_JSON json_t *payload = json_pack("{s:I, s:s, s:s}", "userId", (json_int_t)id, "username",
        registration->username, "role", registration->role);
    if (!payload)
        return -ENOMEM;
    return outbox_emit(tx,
        &(struct outbox_event){.aggregate_type = "user",
            .aggregate_id = id,
            .type = registration->event_type,
            .payload = payload,
            .headers = http_event_headers(request)},
        NULL);
}

static int store_registration(struct http_request *request, struct db *tx, void *context)
{
    const struct registration *registration = context;
    AUTO_RESULT PGresult *row = NULL;
    int error = db_query(tx, &INSERT,
        DB_PARAMS(DB_TEXT(registration->username), DB_TEXT(registration->role),
            DB_TEXT(registration->password_hash)),
        &row);
    if (error < 0)
        return error;
    if (PQntuples(row) == 0)
        return http_problem(request, 409, "username_taken", "the username is taken");
    int64_t id = db_int(row, 0, 0);
    error = emit_created(request, tx, registration, id);
    if (error < 0)
        return error;
    return http_reply_json(request, 200, json_pack("{s:I}", "id", (json_int_t)id));
}

static int register_as(struct http_request *request, struct registration *registration)
{
    int status = parse_registration(request, registration);
    if (status)
        return status;
    int error = password_hash(registration->password, registration->password_hash);
    if (error < 0)
        return reply_failure(request, error);
    return http_transact(request, store_registration, registration);
}

int register_user(struct http_request *request)
{
    struct registration registration = {.role = "USER", .event_type = "user.created"};
    int status = register_as(request, &registration);
    secret_wipe(registration.password);
    return status;
}

int register_admin(struct http_request *request)
{
    if (strcmp(auth_service_settings.admin_registration, "open") != 0)
        return http_problem(
            request, 403, "registration_closed", "administrators cannot be registered here");
    struct registration registration = {.role = "ADMIN", .event_type = "admin.created"};
    int status = register_as(request, &registration);
    secret_wipe(registration.password);
    return status;
}
