"""The native outbox.emit beside the PL/pgSQL one: the same arguments give the same row or error."""

import json
import random
import subprocess

import psycopg2
import pytest

from lib import process
from published import Outbox, both_emits, native_library

CALL = "select outbox.emit(%s, %s, %s, %s, %s, %s)::text"
ROW = ("select aggregate_type, aggregate_id, event_type, size, payload::text, headers::text,"
       " txid = pg_current_xact_id(), created_at between now() and clock_timestamp(),"
       " tableoid::regclass::text from outbox.event where event_id = %s")
LANGUAGE = ("select lanname from pg_proc p join pg_language l on l.oid = prolang"
            " where p.oid = to_regprocedure('outbox.emit(text,text,text,jsonb,jsonb,boolean)')")


@pytest.fixture(name="both", scope="module")
def fixture_both(pg, tmp_path_factory):
    """A database of each kind, in which nothing is ever committed."""
    made = [Outbox(pg, tmp_path_factory.mktemp(kind)) for kind in ("plpgsql", "native")]
    made[1].make_native()
    assert [one.value(LANGUAGE) for one in made] == ["plpgsql", "c"]
    yield made
    for one in made:
        one.close()


def outcome(connection, statements):
    """What a transaction comes to: the last result, or how the error reads for the caller."""
    with connection.cursor() as cursor:
        try:
            cursor.execute("begin")
            for sql, parameters in statements:
                cursor.execute(sql, parameters)
                rows = cursor.fetchall() if cursor.description else None
            return rows
        except psycopg2.Error as error:
            return error.pgcode, error.diag.message_primary, error.diag.message_hint
        finally:
            cursor.execute("rollback")


def emitted(connection, arguments):
    """The row of one call, without what is random."""
    with connection.cursor() as cursor:
        cursor.execute("begin")
        try:
            cursor.execute(CALL, arguments)
            cursor.execute(ROW, cursor.fetchone())
            return cursor.fetchall()
        except psycopg2.Error as error:
            return error.pgcode, error.diag.message_primary, error.diag.message_hint
        finally:
            cursor.execute("rollback")


def assert_same_rows(both, calls):
    """Returns how many of the calls were refused."""
    connections = [one.connect() for one in both]
    refused = 0
    for arguments in calls:
        plpgsql, native = (emitted(connection, arguments) for connection in connections)
        assert plpgsql == native, arguments
        refused += isinstance(native, tuple)
    for connection in connections:
        connection.close()
    return refused


GOOD = ("order", "1", "order.created", '{"a": 1}', "{}", True)


def with_argument(position, value):
    return GOOD[:position] + (value,) + GOOD[position + 1:]


EDGES = (
    [GOOD]
    + [with_argument(i, None) for i in range(6)]
    + [with_argument(i, value) for i, limit in ((0, 200), (1, 500), (2, 200))
       for value in ("", " ", "x", "x" * limit, "x" * (limit + 1), "é" * (limit // 2),
                     "é" * (limit // 2) + "x", "\x01\\\"'", "\U0001f600")]
    + [with_argument(3, value) for value in (
        "{}", "[]", "null", "7", "-0.0", "1e5", '"text"', "true", '"\\u0001\\n\\"\\\\é"',
        '{"a": {"b": [1, [2, {"c": null}]]}, "": 1.10}', "[" + "1e100000," * 20 + "1]",
        json.dumps("x" * 1018), json.dumps("x" * 1019), json.dumps("x" * 1022),
        json.dumps("x" * 8000), json.dumps("x" * 1048574), json.dumps("x" * 1048575))]
    + [with_argument(4, value) for value in (
        "[]", "[{}]", '"x"', "null", "1", '{"traceparent": "00-1-2-03"}', '{"a": {"b": []}}',
        json.dumps({"x": "y" * 8183}), json.dumps({"x": "y" * 8184}))]
    + [with_argument(5, False), (None,) * 6, ("", None, "", None, "[]", False),
       ("a" * 100, "b" * 60, "c" * 40, "{}", "{}", True),
       ("a" * 100, "b" * 60, "c" * 41, "{}", "{}", True)]
)


def test_edge_cases(both):
    refused = assert_same_rows(both, EDGES)
    assert 0 < refused < len(EDGES)


def test_the_smallest_limit_of_the_payload(both):
    """The native one asks for the limit only when the payload is larger than this."""
    limit = ("update outbox.setting set max_payload = 1024", None)
    for size in range(1020, 1029):
        call = (CALL, with_argument(3, json.dumps("x" * (size - 2))))
        results = [outcome(one.connect(), [limit, call, (LAST, None)]) for one in both]
        assert results[0] == results[1]
        assert (results[0][0] == "54000") == (size > 1024)


def random_json(rng, depth=0):
    kind = rng.randrange(8 if depth < 4 else 5)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind == 1:
        return rng.randrange(-10**18, 10**18)
    if kind == 2:
        return rng.uniform(-1, 1) * 10 ** rng.randrange(-300, 300)
    if kind < 5:
        return "".join(chr(rng.choice((rng.randrange(1, 128), rng.randrange(160, 0xd800))))
                       for _ in range(rng.randrange(30)))
    if kind < 7:
        return {str(rng.random()): random_json(rng, depth + 1) for _ in range(rng.randrange(6))}
    return [random_json(rng, depth + 1) for _ in range(rng.randrange(6))]


def test_random_arguments(both):
    rng = random.Random(7)

    def text(limit):
        length = rng.choice((0, 1, 10, 10, 10, limit // 2, limit - 1, limit, limit + 1))
        return rng.choice("aé") * length if rng.random() > 0.02 else None

    calls = [(text(200), text(500), text(200), json.dumps(random_json(rng)),
              json.dumps({str(rng.random()): random_json(rng)} if rng.random() < 0.8
                         else random_json(rng)), rng.random() < 0.5) for _ in range(400)]
    refused = assert_same_rows(both, calls)
    assert 0 < refused < len(calls)


# What somebody may have done to the table: (as owner, then what a transaction comes to).
FUNCTION = ("create function change() returns trigger language plpgsql as"
            " $$ begin {} end $$")
TRIGGER = "create trigger t {} on outbox.{} for each {} execute function change()"
LAST = "select event_type, payload::text, txid = pg_current_xact_id() from outbox.event"
CHANGES = {
    "a row trigger": (
        FUNCTION.format("new.event_type := new.event_type || '!'; return new;"),
        TRIGGER.format("before insert", "event", "row")),
    "a row trigger that drops the row": (
        FUNCTION.format("return null;"), TRIGGER.format("before insert", "event", "row")),
    "a row trigger that refuses": (
        FUNCTION.format("raise exception '% may not', current_user <> session_user;"),
        TRIGGER.format("after insert", "event", "row")),
    "a statement trigger": (
        FUNCTION.format("insert into seen values (current_user = session_user); return null;"),
        "create table seen (by_owner boolean)",
        TRIGGER.format("after insert", "event", "statement")),
    "a trigger on one partition": (
        FUNCTION.format("new.payload := '[]'; return new;"),
        TRIGGER.format("before insert", "event_1", "row")),
    "a deferred trigger": (
        FUNCTION.format("raise exception 'late';"),
        TRIGGER.format("after insert", "event", "row").replace(
            "create trigger", "create constraint trigger").replace(
            "for each", "deferrable initially deferred for each")),
    "a check": ("alter table outbox.event add check (event_type <> 'order.created')",),
    "a check on one partition": (
        "alter table outbox.event_1 add check (event_type <> 'order.created')",),
    "a column with a default": (
        "alter table outbox.event add extra text not null default 'x'",),
    "a column without one": ("alter table outbox.event add extra text not null",),
    "a generated column": (
        "alter table outbox.event add extra integer generated always as (size + 1) stored",),
    "a column less": ("alter table outbox.event drop column headers cascade",),
    "a unique index": ("create unique index on outbox.event (aggregate_id, id)",),
    "a rule": ("create rule r as on insert to outbox.event do also notify seen",),
    "row level security": (
        "alter table outbox.event enable row level security",
        "alter table outbox.event force row level security"),
    "a partition of another shape": (
        "drop table outbox.event_1",
        "create table outbox.other (headers jsonb not null, gone text, payload jsonb not null,"
        " size integer not null, created_at timestamptz not null, event_type text not null,"
        " aggregate_id text not null, aggregate_type text not null, event_id uuid not null,"
        " id bigint not null, txid xid8 not null)",
        "alter table outbox.other drop column gone",
        "alter table outbox.event attach partition outbox.other for values from (1) to (1000001)"),
    "partitions of a partition": (
        "drop table outbox.event_1",
        "create table outbox.event_1 partition of outbox.event for values from (1) to (1000001)"
        " partition by range (id)",
        "create table outbox.low partition of outbox.event_1 for values from (1) to (2000)"),
    "only the default partition": (
        "drop table outbox.event_1", "drop table outbox.event_1000001",
        "alter table outbox.event_default drop constraint event_default_ids"),
    "a default partition that refuses the row": (
        "drop table outbox.event_1", "drop table outbox.event_1000001"),
    "no partition for the row": (
        "drop table outbox.event_1, outbox.event_1000001, outbox.event_default, outbox.event_beyond",),
    "another sequence": (
        "alter table outbox.event alter column id drop identity",
        "alter table outbox.event alter column id"
        " add generated always as identity (start with 1500000)"),
    "no table": ("alter table outbox.event rename to other",),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_table_that_somebody_has_changed(both, change):
    """In a session that has emitted before, and knows the table as it was."""
    results = []
    for one in both:
        connection = one.connect()
        assert outcome(connection, [(CALL, GOOD), (LAST, None)]) == \
            [("order.created", '{"a": 1}', True)]
        changed = [(statement, None) for statement in CHANGES[change]] + [(CALL, GOOD)]
        results.append([
            outcome(connection, changed + [("set constraints all immediate", None), (LAST, None)]),
            outcome(connection, changed + [(ROW.replace("event_id = %s", "true"), None)]),
            change != "a statement trigger"
            or outcome(connection, changed + [("select * from seen", None)])])
        connection.close()
    assert results[0] == results[1]


@both_emits
def test_a_table_that_another_session_changes(outbox):
    """Partitions come and go, the sequence is another, a trigger is new: the next call knows."""
    connection = outbox.connect()

    def emit():
        with connection.cursor() as cursor:
            cursor.execute("with emitted as materialized"
                           " (select outbox.emit('order', '1', 'a.b', '{}') as id) select id::text"
                           "  from emitted")
            return outbox.query("select tableoid::regclass::text, id, event_type from outbox.event"
                                " where event_id = %s", cursor.fetchone())
    assert emit() == [("outbox.event_1", 1, "a.b")]
    outbox.query("drop table outbox.event_1")
    outbox.query("alter table outbox.event_default drop constraint event_default_ids")
    assert emit() == [("outbox.event_default", 2, "a.b")]
    outbox.query("delete from outbox.event_default")
    outbox.query("create table outbox.new partition of outbox.event for values from (1) to (4)")
    assert emit() == [("outbox.new", 3, "a.b")]
    assert emit() == [("outbox.event_default", 4, "a.b")]
    outbox.query("alter table outbox.event alter column id drop identity")
    outbox.query("alter table outbox.event alter column id"
                 " add generated always as identity (start with 1000001)")
    assert emit() == [("outbox.event_1000001", 1000001, "a.b")]
    outbox.query("alter table outbox.event alter column id restart with 1000010")
    assert emit() == [("outbox.event_1000001", 1000010, "a.b")]
    outbox.query(FUNCTION.format("new.event_type := 'changed'; return new;"))
    outbox.query(TRIGGER.format("before insert", "event", "row"))
    assert emit() == [("outbox.event_1000001", 1000011, "changed")]
    outbox.query("drop trigger t on outbox.event")
    assert emit() == [("outbox.event_1000001", 1000012, "a.b")]
    connection.close()


@pytest.mark.parametrize("setting", [
    "set transaction read only", "set transaction isolation level serializable",
    "set transaction isolation level repeatable read",
    "set local search_path = ''", "savepoint a", "lock outbox.event"])
def test_transactions(both, setting):
    results = [outcome(one.connect(), [(setting, None), (CALL, GOOD), (LAST, None)])
               for one in both]
    assert results[0] == results[1]
    assert (results[0][0] == "25006") == ("read only" in setting)


@both_emits
def test_an_error_leaves_nothing_behind(outbox):
    """Caught by its caller: no row, no lock, and the transaction goes on."""
    outbox.query(FUNCTION.format("if new.event_type = 'bad' then raise 'no'; end if; return new;"))
    outbox.query(TRIGGER.format("before insert", "event_default", "row"))
    outbox.query("alter table outbox.event alter column id restart with 5000000")
    connection = outbox.connect()
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute("""
            do $$ begin
                for i in 1..1000 loop
                    begin
                        perform outbox.emit('order', i::text, 'bad', '{}');
                    exception when raise_exception then
                        null;
                    end;
                    begin
                        perform outbox.emit('order', '', 'bad', '{}');
                    exception when invalid_parameter_value then
                        null;
                    end;
                end loop;
            end $$""")
        cursor.execute("select count(*) from pg_locks where locktype = 'advisory'"
                       " and pid = pg_backend_pid()")
        assert cursor.fetchone() == (0,)
        cursor.execute("select outbox.emit('order', '1', 'good', '{}')")
    connection.commit()
    connection.close()
    assert outbox.query("select event_type from outbox.event") == [("good",)]


@both_emits
def test_whoever_may_emit_needs_no_other_permission(outbox, pg):
    """Also where emit looks something up, and where somebody has added a trigger; and it leaves the
    caller who it was."""
    emitter = f"{outbox.database}_emitter"
    pg.query("postgres", f'create role "{emitter}" login in role outbox_emitter')
    pg.query("postgres", f'grant connect on database "{outbox.database}" to "{emitter}"')
    connection = pg.connect(outbox.database, emitter)
    try:
        with connection.cursor() as cursor:
            cursor.execute("select outbox.emit('a', '1', 'a.b', '{}') from generate_series(1, 500)")
            cursor.execute(CALL, with_argument(3, json.dumps("x" * 2000)))
            with pytest.raises(psycopg2.errors.InvalidParameterValue):
                cursor.execute(CALL, with_argument(0, ""))
            outbox.query(FUNCTION.format("new.event_type := current_user; return new;"))
            outbox.query(TRIGGER.format("before insert", "event", "row"))
            cursor.execute(CALL, GOOD)
            assert outbox.query("select event_type from outbox.event where event_id = %s",
                                cursor.fetchone()) == [(outbox.database,)]
            cursor.execute("select current_user")
            assert cursor.fetchone() == (emitter,)
    finally:
        connection.close()
        pg.query(outbox.database, f'drop owned by "{emitter}"')
        pg.query("postgres", f'drop role "{emitter}"')


@both_emits
def test_a_row_is_seen_by_what_follows(outbox):
    """In the same function too, after a call by either way of evaluating it."""
    assert outbox.query("""
        create function twice() returns bigint language plpgsql as $$
        declare
            mine uuid;
        begin
            perform outbox.emit('order', '1', 'a.b', '{}');
            mine := outbox.emit('order', '1', 'a.b', '{}');
            if not exists (select from outbox.event where event_id = mine) then
                return -1;
            end if;
            return (select count(*) from outbox.event);
        end $$;
        select twice() from generate_series(1, 3)""") == [(2,), (4,), (6,)]


@both_emits
def test_the_session_s_memory_does_not_grow(outbox):
    outbox.query("update outbox.setting set max_payload = 4096")
    connection = outbox.pg.connect(outbox.database)

    def used(cursor):
        cursor.execute("select sum(used_bytes)::bigint from pg_backend_memory_contexts")
        return cursor.fetchone()[0]

    def emit(cursor, payload, expected):
        try:
            cursor.execute("select count(outbox.emit('order', 'x', 'a.b', %s))"
                           "  from generate_series(1, 2000)", (payload,))
            assert expected
        except psycopg2.Error:
            assert not expected
    with connection.cursor() as cursor:
        sizes = []
        for _ in range(3):
            emit(cursor, '{"a": 1}', True)
            emit(cursor, json.dumps("x" * 3000), True)
            for _ in range(100):
                emit(cursor, json.dumps("x" * 5000), False)
            sizes.append(used(cursor))
    connection.close()
    assert sizes[2] - sizes[1] < 20000, sizes


def test_a_statement_s_memory_does_not_grow(outbox):
    """A statement that emits many events keeps none of them."""
    outbox.make_native()
    used = outbox.query("""
        select used from (
            select i, outbox.emit('order', i::text, 'a.b', '{"a": 1}', lock_key => false),
                   (select sum(used_bytes)::bigint + 0 * i from pg_backend_memory_contexts) as used
              from generate_series(1, 4000) i) emitted
         where i in (1000, 4000)""")
    assert used[1][0] - used[0][0] < 20000, used


def init(outbox, *words, user="postgres"):
    return subprocess.run(
        [process.binary("outbox-relay"), "init", *words, "--source",
         outbox.pg.dsn(outbox.database, user)], capture_output=True, text=True, timeout=60, check=False)


def test_switched_on_and_off(outbox):
    """Both ways, twice: what it is not about stays."""
    library = str(native_library(outbox.pg))
    definition = "select pg_get_functiondef(to_regprocedure('outbox.emit(text,text,text,jsonb,jsonb,boolean)'))"
    kept = ("select proowner::regrole::text, proacl::text, obj_description(oid), proargnames"
            " from pg_proc where oid ="
            " to_regprocedure('outbox.emit(text,text,text,jsonb,jsonb,boolean)')")
    before, around = outbox.value(definition), outbox.query(kept)
    for _ in range(2):
        done = init(outbox, "--native-library", library)
        assert done.returncode == 0, done.stderr
        assert f"outbox.emit is now native: {library}" in done.stdout
        assert outbox.value(LANGUAGE) == "c"
        assert outbox.query(kept) == around
    assert init(outbox).returncode == 0
    assert outbox.value(LANGUAGE) == "c", "a plain init leaves it"
    for _ in range(2):
        done = init(outbox, "--no-native", user=outbox.database)
        assert done.returncode == 0, done.stderr
        assert outbox.value(definition) == before
        assert outbox.query(kept) == around


def test_refused_with_a_reason(outbox):
    for words, user, status, reason in (
            (["--native"], outbox.database, 1, "needs a superuser"),
            (["--native-library", "/nowhere/outbox_emit"], "postgres", 1, "make install-native"),
            (["--native", "--no-native"], "postgres", 2, "exclude each other")):
        done = init(outbox, *words, user=user)
        assert (done.returncode, reason in done.stderr) == (status, True), done.stderr
        assert outbox.value(LANGUAGE) == "plpgsql"
