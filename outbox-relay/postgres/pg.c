/* See pg.h. */
#include "outbox-relay/postgres/pg.h"
#include "outbox-relay/postgres/pg_connect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define CONNECTION_LOST "08006" /* SQLSTATE connection_failure */
#define MESSAGE_SIZE 512

/* What the server still has to answer, in order. */
struct expected {
    struct expected *next;
    bool is_commit;
    pg_on_result *on_result;
    void (*on_done)(void *context, const char *sqlstate);
    void *context;
    int64_t sent_us; /* of a commit */
};

struct pg {
    struct loop *loop;
    struct pg_settings settings;
    struct pg_connecting *connecting; /* while the thread is at it */
    PGconn *connection;
    struct watch watch;
    struct timer broken; /* runs once the connection is of no use: it is closed in the next turn */
    struct expected *head, **tail;
    bool in_unit;           /* something has been queued since the last commit */
    struct expected *spare; /* free list: a steady state allocates nothing */
    size_t pending;
    char sqlstate[6];    /* first error of the unit that is being answered */
    unsigned generation; /* changes with each close, to notice one within a callback */
};

static void on_socket(void *context, uint32_t events);
static void on_broken(void *context);

struct pg *pg_new(struct loop *loop, const struct pg_settings *settings)
{
    struct pg *pg = calloc(1, sizeof(*pg));
    if (!pg)
        return NULL;
    pg->loop = loop;
    pg->settings = *settings;
    pg->watch = (struct watch){.fd = -1, .ready = on_socket, .context = pg};
    pg->broken = (struct timer){.fire = on_broken, .context = pg};
    pg->tail = &pg->head;
    return pg;
}

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

const char *pg_host(const struct pg *pg)
{
    return text_or_empty(PQhost(pg->connection));
}

const char *pg_port(const struct pg *pg)
{
    return text_or_empty(PQport(pg->connection));
}

const char *pg_server_version(const struct pg *pg)
{
    return text_or_empty(PQparameterStatus(pg->connection, "server_version"));
}

int64_t pg_pending_since(const struct pg *pg)
{
    for (const struct expected *entry = pg->head; entry; entry = entry->next)
        if (entry->is_commit)
            return entry->sent_us;
    return 0;
}

/* Closing ----------------------------------------------------------------------------------------
 */

static void drop_expected(struct pg *pg, bool tell)
{
    struct expected *entry = pg->head;
    pg->head = NULL;
    pg->tail = &pg->head;
    pg->pending = 0;
    while (entry) {
        struct expected *next = entry->next;
        if (tell && entry->on_result)
            entry->on_result(entry->context, NULL);
        if (tell && entry->on_done)
            entry->on_done(entry->context, CONNECTION_LOST);
        free(entry);
        entry = next;
    }
}

static void close_connection(struct pg *pg, bool tell)
{
    pg->generation++;
    if (pg->connecting) {
        pg_connecting_abandon(pg->connecting);
        pg->connecting = NULL;
    }
    loop_timer_stop(pg->loop, &pg->broken);
    loop_unwatch(pg->loop, &pg->watch);
    PQfinish(pg->connection);
    pg->connection = NULL;
    pg->sqlstate[0] = '\0';
    pg->in_unit = false;
    drop_expected(pg, tell);
}

void pg_close(struct pg *pg)
{
    close_connection(pg, true);
}

void pg_free(struct pg *pg)
{
    if (!pg)
        return;
    close_connection(pg, false);
    while (pg->spare) {
        struct expected *next = pg->spare->next;
        free(pg->spare);
        pg->spare = next;
    }
    free(pg);
}

/* libpq ends its messages with a line feed and indents further lines by a tab. */
static void in_one_line(const char *message, char text[MESSAGE_SIZE])
{
    size_t length = 0;
    for (; *message && length < MESSAGE_SIZE - 1; message++)
        if (*message != '\n' && *message != '\t')
            text[length++] = *message;
        else if (length > 0 && text[length - 1] != ' ')
            text[length++] = ' ';
    while (length > 0 && text[length - 1] == ' ')
        length--;
    text[length] = '\0';
}

/* The connection is of no use any more: closes it and tells the owner why. */
static void lose(struct pg *pg, const char *sqlstate, const char *message)
{
    char text[MESSAGE_SIZE];
    in_one_line(message && *message ? message : "connection lost", text);
    /* First, so that the owner hears why before it hears of each unit that came to nothing. */
    pg->settings.lost(pg->settings.context, sqlstate, text);
    close_connection(pg, true);
}

static void on_broken(void *context)
{
    struct pg *pg = context;
    if (!*PQerrorMessage(pg->connection))
        PQconsumeInput(pg->connection); /* then libpq says what it found when it could not write */
    lose(pg, "", PQerrorMessage(pg->connection));
}

/* Closes it in the next turn, when nobody is in the middle of queueing something. No event of the
 * socket can be relied on: libpq may have closed it, and its number may be another's soon. */
static void break_off(struct pg *pg)
{
    loop_unwatch(pg->loop, &pg->watch);
    loop_timer_start(pg->loop, &pg->broken, 0);
}

static bool is_usable(const struct pg *pg)
{
    return pg->connection && !timer_running(&pg->broken);
}

/* Sending ----------------------------------------------------------------------------------------
 */

static void flush(struct pg *pg)
{
    int ret = PQflush(pg->connection);
    uint32_t events = ret > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN;
    if (ret < 0 || loop_watch(pg->loop, &pg->watch, PQsocket(pg->connection), events) < 0)
        break_off(pg);
}

static struct expected *expect(struct pg *pg)
{
    struct expected *entry = pg->spare;
    if (entry)
        pg->spare = entry->next;
    else if (!(entry = malloc(sizeof(*entry))))
        abort(); /* some bytes; an answer that is not expected would be worse */
    memset(entry, 0, sizeof(*entry));
    *pg->tail = entry;
    pg->tail = &entry->next;
    return entry;
}

static void send_statement(struct pg *pg, const struct pg_statement *statement,
    const char *const *values, pg_on_result *on_result, void *context)
{
    if (!is_usable(pg)) {
        if (on_result)
            on_result(context, NULL);
        return;
    }
    int format = statement->binary ? 1 : 0;
    int sent = *statement->name && !pg->settings.unnamed
                   ? PQsendQueryPrepared(pg->connection, statement->name, statement->param_count,
                         values, NULL, NULL, format)
                   : PQsendQueryParams(pg->connection, statement->sql, statement->param_count, NULL,
                         values, NULL, NULL, format);
    if (!sent) {
        break_off(pg); /* the rest of the unit must not take effect without it */
        if (on_result)
            on_result(context, NULL);
        return;
    }
    struct expected *entry = expect(pg);
    entry->on_result = on_result;
    entry->context = context;
}

static void begin_unit(struct pg *pg, const struct pg_statement *first)
{
    const struct pg_statement *const *prelude = first->begins ? NULL : pg->settings.prelude;
    pg->in_unit = true;
    for (; prelude && *prelude; prelude++)
        send_statement(pg, *prelude, NULL, NULL, NULL);
}

void pg_send(struct pg *pg, const struct pg_statement *statement, const char *const *values,
    pg_on_result *on_result, void *context)
{
    if (!pg->in_unit)
        begin_unit(pg, statement);
    send_statement(pg, statement, values, on_result, context);
}

void pg_commit(struct pg *pg, void (*on_done)(void *context, const char *sqlstate), void *context)
{
    pg->in_unit = false;
    if (is_usable(pg) && !PQpipelineSync(pg->connection))
        break_off(pg);
    if (!is_usable(pg)) {
        on_done(context, CONNECTION_LOST);
        return;
    }
    struct expected *entry = expect(pg);
    entry->is_commit = true;
    entry->on_done = on_done;
    entry->context = context;
    entry->sent_us = loop_now(pg->loop);
    pg->pending++;
    flush(pg);
}

/* Receiving --------------------------------------------------------------------------------------
 */

static void recycle(struct pg *pg, struct expected *entry)
{
    pg->head = entry->next;
    if (!pg->head)
        pg->tail = &pg->head;
    entry->next = pg->spare;
    pg->spare = entry;
}

static void note_error(struct pg *pg, const PGresult *result)
{
    if (pg->sqlstate[0] || PQresultStatus(result) != PGRES_FATAL_ERROR)
        return;
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    snprintf(pg->sqlstate, sizeof(pg->sqlstate), "%s", state ? state : "XX000");
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    char text[MESSAGE_SIZE];
    in_one_line(message && *message ? message : "no message", text);
    pg->settings.refused(pg->settings.context, text);
}

static void finish_unit(struct pg *pg, const struct expected *entry)
{
    char sqlstate[sizeof(pg->sqlstate)];
    memcpy(sqlstate, pg->sqlstate, sizeof(sqlstate));
    pg->sqlstate[0] = '\0';
    pg->pending--;
    entry->on_done(entry->context, sqlstate[0] ? sqlstate : NULL);
}

/* Hands one result to whom it belongs. A statement's result is followed by NULL, a sync's is not.
 */
static void deliver(struct pg *pg, PGresult *result)
{
    struct expected *first = pg->head;
    if (!first) {
        PQclear(result);
        return;
    }
    struct expected entry = *first;
    recycle(pg, first);
    if (entry.is_commit) {
        PQclear(result);
        finish_unit(pg, &entry);
        return;
    }
    note_error(pg, result);
    if (entry.on_result)
        entry.on_result(entry.context, result);
    else
        PQclear(result);
}

static void receive_notifies(struct pg *pg)
{
    unsigned generation = pg->generation;
    PGnotify *notify;
    while (pg->generation == generation && (notify = PQnotifies(pg->connection)) != NULL) {
        if (pg->settings.notified)
            pg->settings.notified(pg->settings.context, notify->relname, notify->extra);
        PQfreemem(notify);
    }
}

static void receive(struct pg *pg)
{
    unsigned generation = pg->generation;
    if (!PQconsumeInput(pg->connection)) {
        lose(pg, "", PQerrorMessage(pg->connection));
        return;
    }
    while (pg->head && !PQisBusy(pg->connection)) {
        PGresult *result = PQgetResult(pg->connection);
        if (!result)
            continue; /* the end of one statement's results */
        deliver(pg, result);
        if (pg->generation != generation)
            return; /* closed by the callback */
    }
    if (PQstatus(pg->connection) == CONNECTION_BAD) {
        lose(pg, "", PQerrorMessage(pg->connection));
        return;
    }
    receive_notifies(pg);
}

static void on_socket(void *context, uint32_t events)
{
    struct pg *pg = context;
    if (events & EPOLLOUT)
        flush(pg);
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP) && is_usable(pg))
        receive(pg);
}

/* Opening ----------------------------------------------------------------------------------------
 */

static void on_connected(
    void *context, PGconn *take_connection, const char *sqlstate, const char *error)
{
    struct pg *pg = context;
    pg->connecting = NULL;
    pg->connection = take_connection;
    if (error) {
        lose(pg, sqlstate, error);
        return;
    }
    if (PQsetnonblocking(pg->connection, 1) < 0 || !PQenterPipelineMode(pg->connection) ||
        loop_watch(pg->loop, &pg->watch, PQsocket(pg->connection), EPOLLIN) < 0) {
        lose(pg, "", "cannot use the connection asynchronously");
        return;
    }
    pg->settings.opened(pg->settings.context);
}

static int open_connection(struct pg *pg, const struct pg_server *server)
{
    if (pg->connection || pg->connecting)
        return -EBUSY;
    const struct pg_settings *settings = &pg->settings;
    const struct pg_login login = {
        .conninfo = settings->conninfo,
        .application_name = settings->application_name,
        .setup = settings->setup,
        .statements = settings->unnamed ? NULL : settings->statements,
        .server = server,
    };
    return pg_connecting_start(pg->loop, &login, on_connected, pg, &pg->connecting);
}

int pg_open(struct pg *pg)
{
    return open_connection(pg, NULL);
}

/* Whether the connection was made by a list of addresses. One of them may be empty, for a Unix
 * socket, and nothing given behind the conninfo can say so. */
static bool has_addresses(PGconn *connection)
{
    PQconninfoOption *options = PQconninfo(connection);
    bool found = false;
    for (const PQconninfoOption *option = options; option && option->keyword; option++)
        found |= strcmp(option->keyword, "hostaddr") == 0 && option->val && *option->val;
    PQconninfoFree(options);
    return found;
}

int pg_open_beside(struct pg *pg, const struct pg *other)
{
    const struct pg_server server = {
        .host = pg_host(other),
        .hostaddr = text_or_empty(PQhostaddr(other->connection)),
        .port = pg_port(other),
    };
    bool one_can_be_named = *server.hostaddr || !has_addresses(other->connection);
    return open_connection(pg, one_can_be_named ? &server : NULL);
}
