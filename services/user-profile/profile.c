/* GET /profiles/by-user-id/{id}, POST /profiles/by-user-id/{id}. Events: user.created. */
#include "services/user-profile/profile.h"

#include "services/user-profile/contact.h"
#include "shared/db/outbox.h"
#include "shared/http/fields.h"

#include <errno.h>

#define MAX_NAME_CHARS 100
#define MAX_EMAIL_CHARS 254 /* RFC 5321, path without the angle brackets */
#define MAX_PHONE_CHARS 32

static const struct db_statement FIND = {"profile_find",
    "select jsonb_build_object('profileId', profile_id, 'userId', user_id,"
    " 'firstName', first_name, 'lastName', last_name, 'email', email, 'phone', phone)"
    " from profile where user_id = $1"};

/* A null parameter leaves its column as it is. */
static const struct db_statement UPSERT = {"profile_upsert",
    "insert into profile as p (user_id, first_name, last_name, email, phone)"
    " values ($1, coalesce($2::text, ''), coalesce($3::text, ''), coalesce($4::text, ''),"
    " coalesce($5::text, ''))"
    " on conflict (user_id) do update set"
    " first_name = coalesce($2::text, p.first_name), last_name = coalesce($3::text, p.last_name),"
    " email = coalesce($4::text, p.email), phone = coalesce($5::text, p.phone),"
    " version = p.version + 1, changed_at = now()"
    " returning profile_id, first_name, last_name, email, phone, version"};

static const struct db_statement CREATE_EMPTY = {"profile_create_empty",
    "insert into profile (user_id) values ($1) on conflict (user_id) do nothing"};

/* What the request asks to change; NULL: stays. Borrowed from the body. */
struct change {
    int64_t user_id;
    const char *first_name, *last_name, *email, *phone;
};

int profile_get(struct http_request *request)
{
    return http_reply_query(
        request, "not_found", &FIND, DB_PARAMS(DB_INT(http_path_id(request, 0))));
}

/* What the types of the fields don't say. Returns 0 or the status of the problem replied with. */
static int check_change(struct http_request *request, const struct change *change)
{
    const struct {
        const char *name, *value;
        bool (*ok)(const char *);
        const char *expectation;
    } checks[] = {
        {"firstName", change->first_name, contact_name_ok, "must not contain control characters"},
        {"lastName", change->last_name, contact_name_ok, "must not contain control characters"},
        {"email", change->email, contact_email_ok, "must be an e-mail address or empty"},
        {"phone", change->phone, contact_phone_ok,
            "must be a telephone number (3 to 20 digits, + - . ( ) and spaces) or empty"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
        const char *name = checks[i].name, *value = checks[i].value;
        if (value && *value && !checks[i].ok(value))
            return http_problem_field(
                request, 400, "bad_field", name, "%s %s", name, checks[i].expectation);
    }
    return 0;
}

/* Returns 0 or the status of the problem replied with. */
static int parse_change(struct http_request *request, struct change *change)
{
    const struct field fields[] = {
        {"firstName", FIELD_TEXT, .optional = true, .max = MAX_NAME_CHARS,
            .target = &change->first_name},
        {"lastName", FIELD_TEXT, .optional = true, .max = MAX_NAME_CHARS,
            .target = &change->last_name},
        {"email", FIELD_TEXT, .optional = true, .max = MAX_EMAIL_CHARS, .target = &change->email},
        {"phone", FIELD_TEXT, .optional = true, .max = MAX_PHONE_CHARS, .target = &change->phone},
    };
    int status = fields_body(request, false, fields, ARRAY_SIZE(fields));
    if (status)
        return status;
    if (!change->first_name && !change->last_name && !change->email && !change->phone)
        return http_problem(
            request, 400, "bad_field", "one of firstName, lastName, email and phone must be given");
    return check_change(request, change);
}

static json_t *event_payload(const struct change *change, const PGresult *row)
{
    return json_pack("{s:I, s:I, s:s, s:s, s:s, s:s, s:I}", "userId", (json_int_t)change->user_id,
        "profileId", (json_int_t)db_int(row, 0, 0), "firstName", db_text(row, 0, 1), "lastName",
        db_text(row, 0, 2), "email", db_text(row, 0, 3), "phone", db_text(row, 0, 4), "version",
        (json_int_t)db_int(row, 0, 5));
}

static int store_change(struct http_request *request, struct db *tx, void *context)
{
    const struct change *change = context;
    AUTO_RESULT PGresult *row = NULL;
    int error = db_query(tx, &UPSERT,
        DB_PARAMS(DB_INT(change->user_id), DB_TEXT(change->first_name), DB_TEXT(change->last_name),
            DB_TEXT(change->email), DB_TEXT(change->phone)),
        &row);
    if (error < 0)
        return error;
    AUTO_JSON json_t *payload = event_payload(change, row);
    if (!payload)
        return -ENOMEM;
    char event_id[EVENT_ID_SIZE];
    error = outbox_emit(tx,
        &(struct outbox_event){.aggregate_type = "profile",
            .aggregate_id = change->user_id,
            .type = "user.profilechanged",
            .payload = payload,
            .headers = http_event_headers(request)},
        event_id);
    if (error < 0)
        return error;
    return http_reply_json(request, 200, json_pack("{s:s}", "eventId", event_id));
}

int profile_change(struct http_request *request)
{
    struct change change = {.user_id = http_path_id(request, 0)};
    int status = parse_change(request, &change);
    if (status)
        return status;
    return http_transact(request, store_change, &change);
}

int profile_on_user_created(struct db *tx, struct inbox_event *event)
{
    int64_t user_id = 0;
    const struct field fields[] = {
        {"userId", FIELD_INT, .min = 1, .max = INT64_MAX, .target = &user_id},
    };
    int error = inbox_fields(event, fields, ARRAY_SIZE(fields));
    if (error < 0)
        return error;
    return db_query(tx, &CREATE_EMPTY, DB_PARAMS(DB_INT(user_id)), NULL);
}
