/* The transaction of a batch. First all of it at once: one statement records the ids, then the
 * handlers run. Only when an event fails is everything rolled back and done again with a savepoint
 * for each event, so that the usual case pays for none. */
#include "shared/base/log.h"
#include "shared/db/result.h"
#include "shared/service/inbox_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* An event has failed; no error of db.h. */
#define EVENT_FAILED (-ECANCELED)

/* Sorted, so that two batches with the same ids can't wait for each other crosswise. */
static const struct db_statement RECORD = {"inbox_record",
    "insert into inbox.message (event_id, source, event_type) "
    "select e.event_id, e.source, e.event_type "
    "from unnest($1::uuid[], $2::text[], $3::text[]) as e (event_id, source, event_type) "
    "order by e.event_id "
    "on conflict (event_id) do nothing "
    "returning event_id"};

/* ---- recording ---- */

static void write_element(FILE *out, bool first, const char *text)
{
    fputs(first ? "{\"" : ",\"", out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

typedef const char *item_text(const struct inbox_item *item);

static const char *id_of(const struct inbox_item *item)
{
    return item->id;
}

static const char *source_of(const struct inbox_item *item)
{
    return item->event.source;
}

static const char *type_of(const struct inbox_item *item)
{
    return item->event.type;
}

/* The text of a PostgreSQL array; NULL when out of memory. */
static char *array_of(const struct inbox_item *items, size_t count, item_text *text_of)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return NULL;
    for (size_t i = 0; i < count; i++)
        write_element(out, i == 0, text_of(&items[i]));
    fputc('}', out);
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

static int compare_items(const void *left, const void *right)
{
    const struct inbox_item *const *a = left;
    const struct inbox_item *const *b = right;
    int order = strcmp((*a)->id, (*b)->id);
    /* Of the same id, the one that came first. */
    return order != 0 ? order : (*a > *b) - (*a < *b);
}

/* The first of the sorted items that has the id. */
static struct inbox_item *find_item(struct inbox_item **sorted, size_t count, const char *id)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(sorted[middle]->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && strcmp(sorted[low]->id, id) == 0 ? sorted[low] : NULL;
}

/* Leaves those that were recorded just now pending; the others are duplicates. */
static int mark_duplicates(struct inbox_item *items, size_t count, const PGresult *recorded)
{
    int rows = PQntuples(recorded);
    bool all = (size_t)rows == count;
    for (size_t i = 0; i < count; i++)
        items[i].outcome = all ? INBOX_PENDING : INBOX_DUPLICATE;
    if (all || rows == 0)
        return 0;
    AUTO_FREE struct inbox_item **sorted = calloc(count, sizeof(*sorted));
    if (!sorted)
        return -EIO;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &items[i];
    qsort(sorted, count, sizeof(*sorted), compare_items);
    for (int row = 0; row < rows; row++) {
        struct inbox_item *item = find_item(sorted, count, db_text(recorded, row, 0));
        if (item)
            item->outcome = INBOX_PENDING;
    }
    return 0;
}

static int record(struct db *tx, struct inbox_item *items, size_t count)
{
    AUTO_FREE char *ids = array_of(items, count, id_of);
    AUTO_FREE char *sources = array_of(items, count, source_of);
    AUTO_FREE char *types = array_of(items, count, type_of);
    if (!ids || !sources || !types)
        return -EIO;
    AUTO_RESULT PGresult *recorded = NULL;
    int error =
        db_query(tx, &RECORD, DB_PARAMS(DB_TEXT(ids), DB_TEXT(sources), DB_TEXT(types)), &recorded);
    return error < 0 ? error : mark_duplicates(items, count, recorded);
}

/* ---- handling ---- */

static void fail(struct inbox_item *item, bool permanent, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Keeps the reason that inbox_reject gave, if any. */
static void fail(struct inbox_item *item, bool permanent, const char *format, ...)
{
    item->outcome = INBOX_FAILED;
    item->permanent = permanent;
    if (item->event.error)
        return;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&item->event.error, format, arguments) < 0)
        item->event.error = NULL;
    va_end(arguments);
}

static void forget_error(struct inbox_item *item)
{
    free(item->event.error);
    item->event.error = NULL;
}

/* Runs the handler of a pending event. Returns 0, EVENT_FAILED, or -EAGAIN or -ENOTCONN, which
 * concern the transaction as a whole. */
static int handle(struct db *tx, struct inbox_item *item)
{
    if (!item->route) {
        item->outcome = INBOX_IGNORED;
        return 0;
    }
    forget_error(item);
    int error = item->route->handler(tx, &item->event);
    if (error == -EAGAIN || error == -ENOTCONN)
        return error;
    if (error >= 0 && PQtransactionStatus(db_connection(tx)) == PQTRANS_INTRANS) {
        item->outcome = INBOX_HANDLED;
        return 0;
    }
    if (error == -EBADMSG)
        fail(item, true, "the event can't be handled");
    else
        fail(item, false, "the database refused it: SQLSTATE %s", db_sqlstate(tx));
    return EVENT_FAILED;
}

static int run_together(struct db *tx, void *context)
{
    struct inbox_batch *batch = context;
    int error = record(tx, batch->items, batch->count);
    for (size_t i = 0; error == 0 && i < batch->count; i++) {
        if (batch->items[i].outcome == INBOX_PENDING)
            error = handle(tx, &batch->items[i]);
    }
    return error;
}

/* The event before this one that has failed and has the same key; NULL when there is none. */
static const struct inbox_item *failed_before(const struct inbox_batch *batch, size_t index)
{
    const struct inbox_event *event = &batch->items[index].event;
    for (size_t i = 0; i < index; i++) {
        const struct inbox_item *item = &batch->items[i];
        if (item->outcome == INBOX_FAILED && strcmp(item->event.key, event->key) == 0 &&
            strcmp(item->event.source, event->source) == 0)
            return item;
    }
    return NULL;
}

/* Between savepoint and release; the outcome is in the item. */
static int run_one(struct db *tx, struct inbox_item *item)
{
    int error = db_exec(tx, "savepoint event");
    if (error == 0)
        error = record(tx, item, 1);
    if (error == 0 && item->outcome == INBOX_PENDING)
        error = handle(tx, item);
    if (error == EVENT_FAILED)
        return db_exec(tx, "rollback to savepoint event; release savepoint event");
    return error < 0 ? error : db_exec(tx, "release savepoint event");
}

static int run_apart(struct db *tx, void *context)
{
    struct inbox_batch *batch = context;
    int error = 0;
    for (size_t i = 0; i < batch->count; i++)
        batch->items[i].outcome = INBOX_PENDING;
    for (size_t i = 0; error == 0 && i < batch->count; i++) {
        struct inbox_item *item = &batch->items[i];
        const struct inbox_item *culprit = failed_before(batch, i);
        forget_error(item);
        if (culprit)
            fail(item, false, "waits for event %s of the same key", culprit->id);
        else
            error = run_one(tx, item);
    }
    return error;
}

int inbox_batch_run(struct db_pool *pool, struct inbox_batch *batch)
{
    int error = db_transact(pool, run_together, batch);
    if (error == EVENT_FAILED && batch->count == 1)
        return 0;
    if (error == EVENT_FAILED) {
        log_debug("retrying the batch event by event");
        error = db_transact(pool, run_apart, batch);
    }
    return error < 0 ? error : 0;
}
