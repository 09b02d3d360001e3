/* POST /register/init and /register/init-admin. */
#include "services/auth/credential.h"
#include "services/auth/handlers.h"
#include "services/auth/password.h"
#include "services/auth/settings.h"
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

static int emit_created(struct http_request *request, struct db *tx,
    const struct registration *registration, int64_t id)
{
    AUTO_JSON json_t *payload = json_pack("{s:I, s:s, s:s}", "userId", (json_int_t)id, "username",
        registration->username, "role", registration->role);
    char event_id[EVENT_ID_SIZE];

    if (payload == NULL)
        return -ENOMEM;
    return outbox_emit(tx,
        &(struct outbox_event){.aggregate_type = "user",
            .aggregate_id = id,
            .type = registration->event_type,
            .payload = payload,
            .headers = http_event_headers(request)},
        event_id);
}

static int store(struct http_request *request, struct db *tx, void *context)
{
    const struct registration *registration = context;
    AUTO_RESULT PGresult *row = NULL;
    int64_t id;
    int ret = db_query(tx, &INSERT,
        DB_PARAMS(DB_TEXT(registration->username), DB_TEXT(registration->role),
            DB_TEXT(registration->password_hash)),
        &row);

    if (ret < 0)
        return ret;
    if (PQntuples(row) == 0)
        return http_problem(request, 409, "username_taken", "the username is taken");
    id = db_int(row, 0, 0);
    ret = emit_created(request, tx, registration, id);
    if (ret < 0)
        return ret;
    return http_reply_json(request, 200, json_pack("{s:I}", "id", (json_int_t)id));
}

static int parse(struct http_request *request, struct registration *registration)
{
    const struct field fields[] = {
        {"username", FIELD_TEXT, false, 1, USERNAME_MAX_CHARS, &registration->username},
        {"password", FIELD_TEXT, false, PASSWORD_MIN_CHARS, PASSWORD_MAX_CHARS,
            &registration->password},
    };
    const char *objection;
    int status = fields_body(request, false, fields, ARRAY_SIZE(fields));
    if (status != 0)
        return status;
    objection = username_objection(registration->username);
    if (objection != NULL)
        return http_problem_field(request, 400, "bad_field", "username", "username %s", objection);
    return 0;
}

static int register_as(struct http_request *request, struct registration *registration)
{
    int ret, status = parse(request, registration);

    if (status == 0)
        status = conceal_body(request);
    if (status != 0)
        return status;
    ret = password_hash(registration->password, registration->password_hash);
    if (ret < 0)
        return reply_failure(request, ret);
    return http_transact(request, store, registration);
}

int register_user(struct http_request *request)
{
    struct registration registration = {.role = "USER", .event_type = "user.created"};
    int status = register_as(request, &registration);

    wipe_text(registration.password);
    return status;
}

int register_admin(struct http_request *request)
{
    struct registration registration = {.role = "ADMIN", .event_type = "admin.created"};
    int status;

    if (strcmp(auth_service_settings.admin_registration, "open") != 0)
        return http_problem(
            request, 403, "registration_closed", "administrators can't be registered here");
    status = register_as(request, &registration);
    wipe_text(registration.password);
    return status;
}
