/* POST /internal/events: signature, batch, transaction, answer. */
#include "shared/service/inbox.h"
#include "shared/base/log.h"
#include "shared/base/metrics.h"
#include "shared/base/webhook.h"
#include "shared/service/inbox_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MAX_SENDERS 16
#define SOURCE_SIZE 64
#define SECRET_PREFIX "whsec_"
#define SECRET_SEPARATORS " ,\t\r\n"
#define CLEAN_EVERY 1000 /* events, for a batch of 2,000 */

static const struct db_statement CLEAN = {"inbox_clean", "select inbox.clean()"};

/* A subscription's secret. One that is bound to a source can't speak for another, so that whoever
 * gets hold of one service's database can't make up the events of all. */
struct sender {
    struct webhook_key key;
    char source[SOURCE_SIZE]; /* "/order"; empty: any */
};

/* Set once before the server starts. */
static struct {
    const struct inbox_route *routes;
    size_t route_count;
    struct sender senders[MAX_SENDERS];
    size_t sender_count;
    struct metric *messages;
} inbox;

int inbox_reject(struct inbox_event *event, const char *format, ...)
{
    char *reason = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&reason, format, arguments);
    va_end(arguments);
    free(event->error);
    event->error = length < 0 ? NULL : reason;
    return -EBADMSG;
}

int inbox_fields(struct inbox_event *event, const struct field *fields, size_t count)
{
    struct field_error error;
    if (fields_read(event->data, "", fields, count, &error) == 0)
        return 0;
    return inbox_reject(event, "data.%s %s", error.field, error.message);
}

/* "order=whsec_…" or "whsec_…". */
static int parse_sender(const char *text, struct sender *ret_sender)
{
    const char *secret = strstr(text, SECRET_PREFIX);
    struct sender sender = {.source = ""};
    if (!secret)
        return -EINVAL;
    if (secret > text) {
        int name = (int)(secret - text) - 1;
        if (name < 1 || name > SOURCE_SIZE - 2 || secret[-1] != '=')
            return -EINVAL;
        snprintf(sender.source, sizeof(sender.source), "/%.*s", name, text);
    }
    if (webhook_key_parse(secret, &sender.key) < 0)
        return -EINVAL;
    *ret_sender = sender;
    return 0;
}

static int parse_secrets(const char *secrets)
{
    AUTO_FREE char *copy = strdup(secrets ? secrets : "");
    if (!copy)
        return -EINVAL;
    char *rest = NULL;
    inbox.sender_count = 0;
    for (char *secret = strtok_r(copy, SECRET_SEPARATORS, &rest); secret;
         secret = strtok_r(NULL, SECRET_SEPARATORS, &rest)) {
        if (inbox.sender_count == MAX_SENDERS ||
            parse_sender(secret, &inbox.senders[inbox.sender_count]) < 0)
            return -EINVAL;
        inbox.sender_count++;
    }
    return inbox.sender_count > 0 ? 0 : -EINVAL;
}

int inbox_configure(const struct inbox_route *routes, size_t count, const char *secrets)
{
    static const char *const labels[] = {"type", "outcome", NULL};
    if (parse_secrets(secrets) < 0)
        return -EINVAL;
    inbox.routes = routes;
    inbox.route_count = count;
    if (!inbox.messages)
        inbox.messages =
            metric_counter("inbox_messages", "Events received, by what became of them.", labels);
    return 0;
}

/* ---- the answer ---- */

static const char *outcome_name(enum inbox_outcome outcome)
{
    switch (outcome) {
    case INBOX_HANDLED:
        return "handled";
    case INBOX_DUPLICATE:
        return "duplicate";
    case INBOX_IGNORED:
        return "ignored";
    case INBOX_PENDING:
    case INBOX_FAILED:
        break;
    }
    return "failed";
}

/* Returns how many have failed. */
static size_t count_outcomes(const struct inbox_batch *batch)
{
    size_t failed = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct inbox_item *item = &batch->items[i];
        const char *const values[] = {item->event.type, outcome_name(item->outcome)};
        metric_add(inbox.messages, values, 1);
        if (item->outcome != INBOX_FAILED)
            continue;
        failed++;
        log_warn("event failed", LOG_TEXT("event_id", item->id),
            LOG_TEXT("event_type", item->event.type), LOG_TEXT("error", item->event.error),
            LOG_INT("permanent", item->permanent));
    }
    return failed;
}

static const char *reason_of(const struct inbox_item *item)
{
    return item->event.error ? item->event.error : "out of memory";
}

static int reply_failed_one(struct http_request *request, const struct inbox_item *item)
{
    if (item->permanent)
        return http_problem(request, 422, "event_rejected", "%s", reason_of(item));
    return http_problem(request, 500, "event_failed", "%s", reason_of(item));
}

static int reply_failed_some(struct http_request *request, const struct inbox_batch *batch)
{
    json_t *failed = json_array();
    for (size_t i = 0; i < batch->count; i++) {
        const struct inbox_item *item = &batch->items[i];
        if (item->outcome != INBOX_FAILED)
            continue;
        json_t *entry = json_pack("{s:s, s:s, s:b}", "id", item->id, "error", reason_of(item),
            "permanent", item->permanent);
        if (json_array_append_new(failed, entry) < 0) {
            json_decref(failed);
            return http_reply_json(request, 500, NULL);
        }
    }
    return http_reply_json(request, 200, json_pack("{s:o}", "failed", failed));
}

static int reply_outcomes(struct http_request *request, const struct inbox_batch *batch)
{
    size_t failed = count_outcomes(batch);
    if (failed == 0)
        return http_reply_json_text(request, 200, "{}");
    if (batch->count == 1)
        return reply_failed_one(request, &batch->items[0]);
    return reply_failed_some(request, batch);
}

static int reply_unavailable(struct http_request *request, int error)
{
    if (error == -EIO)
        return http_problem(request, 500, "internal", "something went wrong");
    return http_problem(request, 503, "unavailable", "the database is unavailable");
}

/* ---- the request ---- */

/* Whose secrets have signed the request, a bit each; more than one when a secret stands twice.
 * Returns 0, or the status of the problem it has replied with. */
static int check_signature(struct http_request *request, unsigned *ret_signers)
{
    size_t length = 0;
    const void *body = http_body(request, &length);
    const char *id = http_header(request, "webhook-id");
    const char *timestamp = http_header(request, "webhook-timestamp");
    const char *signature = http_header(request, "webhook-signature");
    int64_t now_s = (int64_t)time(NULL);
    unsigned signers = 0;
    bool stale = false;
    for (size_t i = 0; i < inbox.sender_count; i++) {
        int error =
            webhook_verify(&inbox.senders[i].key, 1, id, timestamp, signature, body, length, now_s);
        if (error == 0)
            signers |= 1u << i;
        stale |= error == -ESTALE;
    }
    if (signers != 0) {
        *ret_signers = signers;
        return 0;
    }
    if (stale)
        return http_problem(request, 401, "stale_timestamp",
            "webhook-timestamp is more than %d s off", WEBHOOK_TOLERANCE_S);
    return http_problem(
        request, 401, "bad_signature", "webhook-signature does not match any secret");
}

static bool may_send(unsigned signers, const char *source)
{
    for (size_t i = 0; i < inbox.sender_count; i++) {
        const char *bound = inbox.senders[i].source;
        if ((signers & 1u << i) && (bound[0] == '\0' || strcmp(bound, source) == 0))
            return true;
    }
    return false;
}

static int check_sources(
    struct http_request *request, const struct inbox_batch *batch, unsigned signers)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (!may_send(signers, batch->items[i].event.source))
            return http_problem(
                request, 403, "bad_source", "the secret is not one of this event's source");
    }
    return 0;
}

/* Old ids are forgotten by those who bring new ones, so that an idle consumer does nothing. */
static void clean_now_and_then(struct db_pool *pool, size_t received)
{
    static atomic_size_t events;
    size_t before = atomic_fetch_add(&events, received);
    struct db *db = NULL;
    if (before / CLEAN_EVERY == (before + received) / CLEAN_EVERY || db_acquire(pool, &db) < 0)
        return;
    if (db_query(db, &CLEAN, DB_PARAMS(), NULL) < 0)
        log_debug("cannot clean up the inbox", LOG_TEXT("error", db_error(db)));
    db_release(db);
}

static int receive(struct http_request *request, struct inbox_batch *batch, unsigned signers)
{
    int status = inbox_batch_read(
        request, http_header(request, "Content-Type"), inbox.routes, inbox.route_count, batch);
    if (status == 0)
        status = check_sources(request, batch, signers);
    if (status != 0)
        return status;
    int error = inbox_batch_run(http_pool(request), batch);
    if (error < 0)
        return reply_unavailable(request, error);
    status = reply_outcomes(request, batch);
    clean_now_and_then(http_pool(request), batch->count);
    return status;
}

int inbox_receive(struct http_request *request)
{
    unsigned signers = 0;
    int status = check_signature(request, &signers);
    if (status != 0)
        return status;
    struct inbox_batch batch = {.count = 0};
    status = receive(request, &batch, signers);
    inbox_batch_release(&batch);
    return status;
}
