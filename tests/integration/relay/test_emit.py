"""outbox.emit and the roles: what callers may and may not do."""

import threading

import psycopg2
import pytest

from lib import wait
from published import both_emits

pytestmark = both_emits


@pytest.mark.parametrize("arguments, word", [
    (("", "1", "a.b", "{}"), "aggregate_type"),
    (("x" * 201, "1", "a.b", "{}"), "200"),
    (("a", "", "a.b", "{}"), "aggregate_id"),
    (("a", "1", "", "{}"), "event_type"),
    ((None, "1", "a.b", "{}"), "null"),
    (("a", None, "a.b", "{}"), "null"),
    (("a", "1", "a.b", None), "null"),
    (("a", "1", "a.b", '"' + "x" * 1048575 + '"'), "1048577 bytes"),
])
def test_bad_arguments(outbox, arguments, word):
    with pytest.raises(psycopg2.Error, match=word):
        outbox.query("select outbox.emit(%s, %s, %s, %s)", arguments)
    assert outbox.value("select count(*) from outbox.event") == 0


@pytest.mark.parametrize("headers", ["[]", '"x"', '{"x": "%s"}' % ("y" * 9000)])
def test_bad_headers(outbox, headers):
    with pytest.raises(psycopg2.Error, match="headers"):
        outbox.query("select outbox.emit('a', '1', 'a.b', '{}', %s)", (headers,))


def test_a_small_payload_that_is_large_as_text(outbox):
    """jsonb keeps 1e100000 in a few bytes."""
    with pytest.raises(psycopg2.Error, match="payload"):
        outbox.query("select outbox.emit('a', '1', 'a.b', %s)",
                     ("[" + ",".join(["1e100000"] * 20) + "]",))


def test_any_json_is_a_payload(outbox):
    for payload in ("{}", "[1, 2]", '"text"', "7", "null"):
        outbox.query("select outbox.emit('a', '1', 'a.b', %s)", (payload,))
    assert outbox.value("select count(*) from outbox.event") == 5


def test_too_many_keys_in_a_transaction(outbox):
    with pytest.raises(psycopg2.Error, match="more than 1000 keys") as error:
        outbox.query("select outbox.emit('a', i::text, 'a.b', '{}') from generate_series(1, 5000) i")
    assert "lock_key => false" in error.value.diag.message_hint
    assert outbox.value("select count(*) from outbox.event") == 0
    # Many events of few keys, and many keys without locks, are fine.
    outbox.query("select outbox.emit('a', (i % 900)::text, 'a.b', '{}')"
                 "  from generate_series(1, 5000) i")
    outbox.query("select outbox.emit('a', i::text, 'a.b', '{}', lock_key => false)"
                 "  from generate_series(1, 20000) i")
    assert outbox.value("select count(*) from outbox.event") == 25000


def test_writers_of_one_key_wait_for_each_other(outbox):
    """The second draws its id after the first has committed."""
    first = outbox.connect()
    first.autocommit = False
    with first.cursor() as cursor:
        cursor.execute("select outbox.emit('a', '1', 'a.first', '{}')")
    other = threading.Thread(target=outbox.query, args=("select outbox.emit('a','1','a.b','{}')",))
    other.start()
    wait.until(lambda: outbox.value(
        "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        " and database = (select oid from pg_database where datname = current_database())") == 1,
        10, "the other to wait")
    outbox.query("select outbox.emit('a', '2', 'a.free', '{}')")  # another key does not
    first.commit()
    first.close()
    other.join()
    assert outbox.query("select event_type from outbox.event order by id") == \
        [("a.first",), ("a.free",), ("a.b",)]


def test_ids_are_version_7(outbox):
    ids = outbox.emit(count=3)
    assert all(event[14] == "7" and event[19] in "89ab" for event in ids)


def test_roles(outbox, pg):
    """Each role may do what it is for and nothing else."""
    name = outbox.database
    for role in ("emitter", "operator", "reader"):
        pg.query("postgres", f'create role "{name}_{role}" login in role outbox_{role}')
        pg.query("postgres", f'grant connect on database "{name}" to "{name}_{role}"')
    outbox.subscribe("s", "http://127.0.0.1:9/")

    def attempt(user, sql):
        connection = pg.connect(name, user)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
            return True
        except psycopg2.errors.InsufficientPrivilege:
            return False
        finally:
            connection.close()

    emit = "select outbox.emit('a', '1', 'a.b', '{}')"
    look = "select from outbox.event_status, outbox.status, outbox.secret_status"
    pause = "select outbox.pause('s')"
    secret = "select value from outbox.secret"
    write = "insert into outbox.delivery select * from outbox.delivery"
    allowed = {
        f"{name}_emitter": {emit}, f"{name}_reader": {look},
        f"{name}_operator": {look, pause}, "relay": {look, secret, write},
    }
    try:
        for user, statements in allowed.items():
            for sql in (emit, look, pause, secret, write):
                assert attempt(user, sql) == (sql in statements), (user, sql)
            assert not attempt(user, "delete from outbox.event")
            assert not attempt(user, "update outbox.event set payload = '{}'")
    finally:
        for role in ("emitter", "operator", "reader"):
            pg.query(name, f'drop owned by "{name}_{role}"')
            pg.query("postgres", f'drop role "{name}_{role}"')


def test_status_views(outbox):
    outbox.subscribe("all", "http://127.0.0.1:9/")
    outbox.subscribe("some", "http://127.0.0.1:9/", event_types=["user.*"])
    outbox.emit(count=3)
    assert outbox.status("all")["lag_events"] == 3
    assert outbox.status("all")["lag_seconds"] >= 0
    assert outbox.status("some")["lag_events"] == 0
    assert outbox.query("select subscription, status, count(*) from outbox.event_status"
                        " group by 1, 2") == [("all", "pending", 3)]


def test_the_lag_of_a_selective_subscription(outbox):
    """Exact while 10,000 events or fewer come after the cursor; beyond that an upper bound."""
    outbox.subscribe("rare", "http://127.0.0.1:9/", event_types=["rare.*"])
    outbox.emit_keys(9_999)
    assert (outbox.status("rare")["lag_events"], outbox.status("rare")["lag_seconds"]) == (0, 0)
    outbox.emit(event_type="rare.one")
    assert outbox.status("rare")["lag_events"] == 1
    outbox.emit_keys(20_000)
    first, beyond, now = outbox.query(
        "select min(created_at) filter (where event_type = 'rare.one'),"
        "       min(created_at) filter (where id > 10000), clock_timestamp() from outbox.event")[0]
    status = outbox.status("rare")
    assert status["lag_events"] == 30_000
    assert float(status["lag_seconds"]) >= (now - first).total_seconds() - 0.1
    outbox.query("update outbox.subscription"
                 "   set position = 10000, snapshot = pg_current_snapshot()")  # past the only one
    status = outbox.status("rare")
    assert status["lag_events"] == 20_000
    assert 0 < float(status["lag_seconds"]) <= (now - beyond).total_seconds() + 5


def test_the_status_looks_at_few_of_many_events(outbox):
    outbox.subscribe("rare", "http://127.0.0.1:9/", event_types=["rare.*"])
    for _ in range(3):
        outbox.emit_keys(10_000)
    outbox.query("analyze outbox.event")
    # Whether late or after the cursor.
    outbox.query("update outbox.subscription set position = 15000")
    plan = outbox.value("explain (analyze, format json) select lag_events, lag_seconds"
                        " from outbox.status")[0]["Plan"]

    def scanned(node):
        own = node.get("Actual Rows", 0) + node.get("Rows Removed by Filter", 0)
        return (own * node["Actual Loops"] if node.get("Relation Name", "").startswith("event_") else 0
                ) + sum(scanned(child) for child in node.get("Plans", ()))
    assert 10_000 < scanned(plan) <= 20_010


def test_a_hostile_search_path(outbox):
    """emit runs as its owner, so nothing of the caller's may be called in it."""
    outbox.query("""
        create schema evil;
        create function evil.boom(text, text) returns boolean language plpgsql
            as $$ begin raise exception 'hijacked'; end $$;
        create function evil.boom_text(text, text) returns text language plpgsql
            as $$ begin raise exception 'hijacked'; end $$;
        create function evil.boom_number(bigint, bigint) returns bigint language plpgsql
            as $$ begin raise exception 'hijacked'; end $$;
        create operator evil.<> (leftarg = text, rightarg = text, function = evil.boom);
        create operator evil.= (leftarg = text, rightarg = text, function = evil.boom);
        create operator evil.|| (leftarg = text, rightarg = text, function = evil.boom_text);
        create operator evil.% (leftarg = bigint, rightarg = bigint, function = evil.boom_number);
        create function evil.octet_length(text) returns integer language plpgsql
            as $$ begin raise exception 'hijacked'; end $$;
        create function evil.pg_notify(text, text) returns void language plpgsql
            as $$ begin raise exception 'hijacked'; end $$;
        create function evil.clock_timestamp() returns timestamptz language plpgsql
            as $$ begin raise exception 'hijacked'; end $$;
        create domain evil.uuid as text check (value = 'hijacked');
        create domain evil.int8 as bigint check (value < 0)
    """)
    connection = outbox.connect()
    with connection.cursor() as cursor:
        cursor.execute("set search_path = evil, pg_catalog")
        for _ in range(510):  # some of them look at the locks
            cursor.execute("select outbox.emit('a', '1', 'a.b', '{}')")
        with pytest.raises(psycopg2.Error, match="1 to 200"):
            cursor.execute("select outbox.emit('', '1', 'a.b', '{}')")
    connection.close()
