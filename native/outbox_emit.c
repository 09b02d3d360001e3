/* outbox.emit() as a C function, for servers that may load a library: the same steps in the same
 * order as the PL/pgSQL function of sql/outbox/002_emit.sql, which says why they stand so. What is
 * saved is the interpreter and the planner: the row goes straight into its partition, as COPY and
 * logical replication do it. See docs/mechanisms/emit.md. */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "commands/sequence.h"
#include "executor/execPartition.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "rewrite/prs2lock.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/xid8.h"

#if PG_VERSION_NUM < 140000
#error "PostgreSQL 14 or newer is needed"
#endif

PG_MODULE_MAGIC;

void _PG_init(void);
PG_FUNCTION_INFO_V1(outbox_emit);

enum argument {
    ARGUMENT_AGGREGATE_TYPE,
    ARGUMENT_AGGREGATE_ID,
    ARGUMENT_EVENT_TYPE,
    ARGUMENT_PAYLOAD,
    ARGUMENT_HEADERS,
    ARGUMENT_LOCK_KEY,
    ARGUMENT_COUNT
};

/* The columns of outbox.event, in their order. */
enum column {
    COLUMN_TXID,
    COLUMN_ID,
    COLUMN_EVENT_ID,
    COLUMN_AGGREGATE_TYPE,
    COLUMN_AGGREGATE_ID,
    COLUMN_EVENT_TYPE,
    COLUMN_CREATED_AT,
    COLUMN_SIZE,
    COLUMN_PAYLOAD,
    COLUMN_HEADERS,
    COLUMN_COUNT
};

static const struct {
    const char *name;
    Oid type;
} COLUMNS[COLUMN_COUNT] = {
    [COLUMN_TXID] = {"txid", XID8OID},
    [COLUMN_ID] = {"id", INT8OID},
    [COLUMN_EVENT_ID] = {"event_id", UUIDOID},
    [COLUMN_AGGREGATE_TYPE] = {"aggregate_type", TEXTOID},
    [COLUMN_AGGREGATE_ID] = {"aggregate_id", TEXTOID},
    [COLUMN_EVENT_TYPE] = {"event_type", TEXTOID},
    [COLUMN_CREATED_AT] = {"created_at", TIMESTAMPTZOID},
    [COLUMN_SIZE] = {"size", INT4OID},
    [COLUMN_PAYLOAD] = {"payload", JSONBOID},
    [COLUMN_HEADERS] = {"headers", JSONBOID},
};

/* The advisory locks; sql/outbox/002_emit.sql lists them. */
#define LOCK_NAMESPACE 1329747032
#define LOCK_WAKE 1

/* ---- What is rare is left to SQL, run as the owner of the function ---- */

struct statement {
    const char *sql;
    int count;
    const Oid *types;
    SPIPlanPtr plan; /* prepared at the first use, kept for the session */
};

static struct statement CHECK_ARGUMENTS = {
    .sql = "select outbox.check_arguments($1, $2, $3, $4, $5, $6)",
    .count = ARGUMENT_COUNT,
    .types = (const Oid[]){TEXTOID, TEXTOID, TEXTOID, JSONBOID, JSONBOID, BOOLOID},
};

static struct statement CHECK_KEY_LOCKS = {.sql = "select outbox.check_key_locks()"};

static struct statement INSERT = {
    .sql = "insert into outbox.event (txid, id, event_id, aggregate_type, aggregate_id, event_type,"
           " created_at, size, payload, headers) overriding system value"
           " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning event_id",
    .count = COLUMN_COUNT,
    .types = (const Oid[]){XID8OID, INT8OID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID,
        INT4OID, JSONBOID, JSONBOID},
};

static Oid owner_of(Oid function)
{
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    Oid owner;
    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "cache lookup failed for function %u", function);
    owner = ((Form_pg_proc)GETSTRUCT(tuple))->proowner;
    ReleaseSysCache(tuple);
    return owner;
}

static void prepare(struct statement *statement)
{
    SPIPlanPtr plan = SPI_prepare(statement->sql, statement->count, (Oid *)statement->types);
    if (!plan || SPI_keepplan(plan) != 0)
        elog(ERROR, "could not prepare \"%s\": %s", statement->sql,
            SPI_result_code_string(SPI_result));
    statement->plan = plan;
}

/* Returns the single UUID of the single row of the result; null when there is neither. The end of
 * a transaction that fails in between gives the session its user back. */
static NullableDatum run_as_owner(struct statement *statement, Oid function, Datum *values)
{
    NullableDatum result = {.isnull = true};
    Oid user;
    int context, status;

    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(owner_of(function), context | SECURITY_LOCAL_USERID_CHANGE);
    SPI_connect();
    if (!statement->plan)
        prepare(statement);
    status = SPI_execute_plan(statement->plan, values, NULL, false, 0);
    if (status < 0)
        elog(ERROR, "could not run \"%s\": %s", statement->sql, SPI_result_code_string(status));
    if (status == SPI_OK_INSERT_RETURNING && SPI_processed == 1) {
        result.value =
            SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &result.isnull);
        if (!result.isnull)
            result.value = SPI_datumTransfer(result.value, false, UUID_LEN);
    }
    SPI_finish();
    SetUserIdAndSecContext(user, context);
    return result;
}

/* ---- Arguments ---- */

static void refuse_nulls(FunctionCallInfo fcinfo)
{
    for (int i = 0; i < ARGUMENT_COUNT; i++)
        if (PG_ARGISNULL(i))
            ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                               errmsg("outbox.emit: no argument may be null")));
}

static int text_length(Jsonb *json)
{
    StringInfoData text;
    int length;
    initStringInfo(&text);
    JsonbToCString(&text, &json->root, VARSIZE(json));
    length = text.len;
    pfree(text.data);
    return length;
}

/* Whether outbox.check_arguments() needs not be asked: outbox.is_ordinary(). */
static bool is_ordinary(const Datum *event)
{
    Size total = 0;
    for (int i = COLUMN_AGGREGATE_TYPE; i <= COLUMN_EVENT_TYPE; i++) {
        Size length = VARSIZE_ANY_EXHDR(DatumGetPointer(event[i]));
        if (length == 0)
            return false;
        total += length;
    }
    return total <= 200 && DatumGetInt32(event[COLUMN_SIZE]) <= 1024 &&
           JB_ROOT_IS_OBJECT(DatumGetJsonbP(event[COLUMN_HEADERS]));
}

/* The columns that the arguments make, all of them checked. */
static void take_arguments(FunctionCallInfo fcinfo, Datum *event)
{
    Jsonb *payload, *headers;

    refuse_nulls(fcinfo);
    payload = PG_GETARG_JSONB_P(ARGUMENT_PAYLOAD);
    headers = PG_GETARG_JSONB_P(ARGUMENT_HEADERS);
    event[COLUMN_AGGREGATE_TYPE] = PointerGetDatum(PG_GETARG_TEXT_PP(ARGUMENT_AGGREGATE_TYPE));
    event[COLUMN_AGGREGATE_ID] = PointerGetDatum(PG_GETARG_TEXT_PP(ARGUMENT_AGGREGATE_ID));
    event[COLUMN_EVENT_TYPE] = PointerGetDatum(PG_GETARG_TEXT_PP(ARGUMENT_EVENT_TYPE));
    event[COLUMN_SIZE] = Int32GetDatum(text_length(payload) + text_length(headers));
    event[COLUMN_PAYLOAD] = JsonbPGetDatum(payload);
    event[COLUMN_HEADERS] = JsonbPGetDatum(headers);
    if (!is_ordinary(event)) {
        Datum arguments[ARGUMENT_COUNT] = {event[COLUMN_AGGREGATE_TYPE], event[COLUMN_AGGREGATE_ID],
            event[COLUMN_EVENT_TYPE], event[COLUMN_PAYLOAD], event[COLUMN_HEADERS],
            PG_GETARG_DATUM(ARGUMENT_LOCK_KEY)};
        run_as_owner(&CHECK_ARGUMENTS, fcinfo->flinfo->fn_oid, arguments);
    }
}

/* ---- Locks ---- */

/* The transaction's id, assigned now if it has none. */
static Datum assign_transaction_id(void)
{
    PreventCommandDuringRecovery("outbox.emit()");
    return FullTransactionIdGetDatum(GetTopFullTransactionId());
}

/* outbox.key_lock() */
static void lock_key(const Datum *event, Oid collation)
{
    Datum seed = DirectFunctionCall2Coll(
        hashtextextended, collation, event[COLUMN_AGGREGATE_TYPE], Int64GetDatum(LOCK_NAMESPACE));
    DirectFunctionCall1(pg_advisory_xact_lock_int8,
        DirectFunctionCall2Coll(hashtextextended, collation, event[COLUMN_AGGREGATE_ID], seed));
}

/* Keeps the relay awake until the end of the transaction, or has it woken then. */
static void wake_relay(void)
{
    Datum got = DirectFunctionCall2(pg_try_advisory_xact_lock_shared_int4,
        Int32GetDatum(LOCK_NAMESPACE), Int32GetDatum(LOCK_WAKE));
    if (!DatumGetBool(got))
        Async_Notify("outbox", "");
}

/* ---- The row ---- */

/* The sequence behind outbox.event.id; looking it up costs more than all the locks. */
static struct {
    Oid table;
    Oid sequence;
} identity;

static void forget_identity(Datum argument, Oid relation)
{
    (void)argument;
    if (relation == identity.table || !OidIsValid(relation))
        identity.table = InvalidOid;
}

void _PG_init(void)
{
    CacheRegisterRelcacheCallback(forget_identity, (Datum)0);
}

/* The lock on the table keeps its identity column as it is. */
static Datum draw_id(Relation table)
{
    if (identity.table != RelationGetRelid(table)) {
        identity.sequence = getIdentitySequence(
#if PG_VERSION_NUM >= 170000
            table,
#else
            RelationGetRelid(table),
#endif
            get_attnum(RelationGetRelid(table), "id"), false);
        identity.table = RelationGetRelid(table);
    }
    return Int64GetDatum(nextval_internal(identity.sequence, false));
}

/* Random bytes are fetched for many ids at once: a call of the generator costs as much for one. */
static void fill_randomly(pg_uuid_t *id)
{
    static pg_uuid_t ready[64];
    static int count;

    if (count == 0) {
        if (!pg_strong_random(ready, sizeof ready))
            ereport(ERROR,
                (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
        count = lengthof(ready);
    }
    *id = ready[--count];
}

/* A UUID of version 7, as outbox.new_event_id() makes it: 48 bits of Unix time in milliseconds, the
 * version, and random bits around the variant. */
static pg_uuid_t *new_event_id(TimestampTz now)
{
    const int64 unix_epoch = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
    uint64 milliseconds = (uint64)(now + unix_epoch) / 1000;
    pg_uuid_t *id = palloc(sizeof *id);

    fill_randomly(id);
    for (int i = 5; i >= 0; i--, milliseconds >>= 8)
        id->data[i] = milliseconds & 0xff;
    id->data[6] = 0x70 | (id->data[6] & 0x0f);
    id->data[8] = 0x80 | (id->data[8] & 0x3f);
    return id;
}

static Relation open_event_table(void)
{
    Oid table = get_relname_relid("event", get_namespace_oid("outbox", false));
    if (!OidIsValid(table))
        ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation \"outbox.event\" does not exist")));
    return table_open(table, RowExclusiveLock);
}

static bool has_own_columns(TupleDesc description)
{
    if (description->natts != COLUMN_COUNT)
        return false;
    for (int i = 0; i < COLUMN_COUNT; i++) {
        Form_pg_attribute column = TupleDescAttr(description, i);
        if (column->attisdropped || column->attgenerated || column->atttypid != COLUMNS[i].type ||
            strcmp(NameStr(column->attname), COLUMNS[i].name) != 0)
            return false;
    }
    return true;
}

/* Whether a row needs nothing but to be stored: the table is as sql/outbox/001_tables.sql makes it,
 * and nobody has added a trigger, a rule, a constraint, a policy or a column. Then no column can be
 * null either. */
static bool is_plain(Relation relation, char kind)
{
    TupleConstr *constraints = RelationGetDescr(relation)->constr;
    return relation->rd_rel->relkind == kind && !relation->trigdesc && !relation->rd_rules &&
           !relation->rd_rel->relrowsecurity && (!constraints || constraints->num_check == 0) &&
           has_own_columns(RelationGetDescr(relation));
}

static TupleTableSlot *fill_slot(EState *estate, Relation table, const Datum *event)
{
    TupleTableSlot *slot = ExecInitExtraTupleSlot(estate, RelationGetDescr(table), &TTSOpsVirtual);
    ExecClearTuple(slot);
    memcpy(slot->tts_values, event, COLUMN_COUNT * sizeof(Datum));
    memset(slot->tts_isnull, false, COLUMN_COUNT);
    return ExecStoreVirtualTuple(slot);
}

static void store(ResultRelInfo *partition, TupleTableSlot *slot, EState *estate)
{
    table_tuple_insert(partition->ri_RelationDesc, slot, GetCurrentCommandId(true), 0, NULL);
    ExecInsertIndexTuples(partition, slot, estate, false, false, NULL, NIL
#if PG_VERSION_NUM >= 160000
        ,
        false
#endif
    );
}

/* Puts the row into the partition that takes its id. Returns false, with nothing done, when that
 * partition is not plain. */
static bool insert_directly(Relation table, const Datum *event)
{
    EState *estate = CreateExecutorState();
    MemoryContext caller = MemoryContextSwitchTo(estate->es_query_cxt);
    ResultRelInfo *root = makeNode(ResultRelInfo);
    ModifyTableState *state = makeNode(ModifyTableState);
    PartitionTupleRouting *routing = ExecSetupPartitionTupleRouting(estate, table);
    TupleTableSlot *slot = fill_slot(estate, table, event);
    ResultRelInfo *partition;
    bool plain;

    InitResultRelInfo(root, table, 0, NULL, 0);
    state->ps.state = estate;
    state->operation = CMD_INSERT;
    state->resultRelInfo = state->rootResultRelInfo = root;

    partition = ExecFindPartition(state, root, routing, slot, estate);
    plain = is_plain(partition->ri_RelationDesc, RELKIND_RELATION);
    if (plain)
        store(partition, slot, estate);

    ExecCleanupTupleRouting(state, routing);
    ExecResetTupleTable(estate->es_tupleTable, false);
    MemoryContextSwitchTo(caller);
    FreeExecutorState(estate);
    return plain;
}

/* Draws the id and stores the row. Returns the event_id; null when a trigger has dropped the row.
 */
static NullableDatum insert(Datum *event, Oid function)
{
    NullableDatum event_id = {.isnull = false};
    Relation table = open_event_table();
    bool done;

    event[COLUMN_ID] = draw_id(table);
    done = is_plain(table, RELKIND_PARTITIONED_TABLE) && insert_directly(table, event);
    table_close(table, NoLock);
    if (!done)
        return run_as_owner(&INSERT, function, event);
    event_id.value = event[COLUMN_EVENT_ID];
    return event_id;
}

/* outbox.is_lock_check_due() */
static bool is_lock_check_due(const Datum *event)
{
    return DatumGetInt64(event[COLUMN_ID]) % 499 == 0;
}

Datum outbox_emit(PG_FUNCTION_ARGS)
{
    Oid function = fcinfo->flinfo->fn_oid;
    Datum event[COLUMN_COUNT];
    NullableDatum event_id;
    TimestampTz now;
    bool locks_key;

    take_arguments(fcinfo, event);
    locks_key = PG_GETARG_BOOL(ARGUMENT_LOCK_KEY);

    event[COLUMN_TXID] = assign_transaction_id();
    if (locks_key)
        lock_key(event, PG_GET_COLLATION());
    wake_relay();

    PreventCommandIfReadOnly("INSERT");
    now = GetCurrentTimestamp();
    event[COLUMN_CREATED_AT] = TimestampTzGetDatum(now);
    event[COLUMN_EVENT_ID] = UUIDPGetDatum(new_event_id(now));
    event_id = insert(event, function);

    if (locks_key && is_lock_check_due(event))
        run_as_owner(&CHECK_KEY_LOCKS, function, NULL);
    if (event_id.isnull)
        PG_RETURN_NULL();
    PG_RETURN_DATUM(event_id.value);
}
