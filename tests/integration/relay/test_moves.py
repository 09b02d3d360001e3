"""The database moves: restored from a dump into another cluster, failed over to a standby."""

import signal
import subprocess
import threading

import psycopg2
import pytest

from lib import pg as pg_module
from lib import wait
from lib.pg import Cluster, Standby
from published import Outbox, Relay


@pytest.fixture(name="elsewhere")
def fixture_elsewhere():
    """A new cluster, whose transaction ids begin at the beginning."""
    with Cluster() as cluster:
        yield cluster


def burn_transaction_ids(outbox, count):
    outbox.query(f"do $$ begin for i in 1..{count} loop perform pg_current_xact_id(); commit;"
                 " end loop; end $$")


def restore(outbox, cluster, directory):
    """Into the other cluster; from then on `outbox` is that."""
    dump = directory / "dump"
    tools = pg_module.bin_directory()
    subprocess.run([tools / "pg_dump", "-Fc", "-f", dump, "-d", outbox.pg.dsn(outbox.database)],
                   check=True, timeout=60)
    outbox.pg.query("postgres", f"drop database {outbox.database} with (force)")
    cluster.provision(outbox.database)
    subprocess.run([tools / "pg_restore", "-d", cluster.dsn(outbox.database), dump], check=True,
                   timeout=60)
    outbox.pg = cluster
    outbox.dsn = cluster.dsn(outbox.database, outbox.database)
    outbox.relay_dsn = cluster.dsn(outbox.database, "relay")


@pytest.mark.parametrize("writer", [False, True], ids=["quiet", "beside-a-writer"])
def test_a_restore_from_a_dump_loses_nothing(elsewhere, outbox, receiver, tmp_path, writer):
    """Transaction ids begin anew; what was late, and what was waiting, is delivered all the same."""
    burn_transaction_ids(outbox, 5000)
    outbox.subscribe("s", receiver.url())
    relay = outbox.relay().wait_leader()
    before = outbox.emit_keys(20)
    receiver.wait_for(20)
    late = outbox.connect()
    late.autocommit = False
    with late.cursor() as cursor:
        cursor.execute("select outbox.emit('order', 'late', 'order.created', '{}')::text")
        event_of_the_late = cursor.fetchone()[0]
    before += outbox.emit_keys(20)
    receiver.wait_for(40)
    assert relay.stop() == 0
    late.commit()
    late.close()
    waiting = [event_of_the_late] + outbox.emit_keys(700)

    restore(outbox, elsewhere, tmp_path)
    assert outbox.value("select max(txid) > pg_current_xact_id() from outbox.event")
    if writer:  # a transaction that stays open holds back what a snapshot can tell
        other = outbox.connect()
        other.autocommit = False
        other.cursor().execute("select pg_current_xact_id()")
    relay = outbox.relay(OUTBOX_RELAY_ADOPT="moved").wait_leader()
    wait.until(lambda: set(waiting) <= set(receiver.ids()), 20, "what was waiting")
    assert relay.logged("transaction ids have begun anew")
    after = []
    for _ in range(5):
        after += outbox.emit_keys(200)
        wait.until(lambda: set(after) <= set(receiver.ids()), 20, "what is new")
    relay.wait_asleep()
    counts = [receiver.ids().count(event) for event in set(waiting + after) - {event_of_the_late}]
    assert counts == [1] * len(counts), "delivered again and again"
    assert all(receiver.ids().count(event) <= 2 for event in before + [event_of_the_late])
    wait.until(lambda: outbox.query("select status, count(*) from outbox.event_status group by 1")
               == [("delivered", 1741)], 10, "all to be known as delivered")
    if writer:
        other.close()
    assert relay.stop() == 0
    relay = outbox.relay().wait_leader()
    last = outbox.emit()
    wait.until(lambda: receiver.ids()[-1:] == last, 10, "the last")
    assert not relay.logged("transaction ids have begun anew"), "once is enough"


def test_a_restore_lets_old_partitions_go(elsewhere, outbox, receiver, tmp_path):
    """Sealed under the old numbering, they may go as soon as the cursor of the new one has moved."""
    burn_transaction_ids(outbox, 5000)
    outbox.query("alter table outbox.event alter column id restart with 1000001")
    outbox.subscribe("s", receiver.url())
    outbox.emit()
    outbox.query("select outbox.maintain()")
    assert outbox.value("select sealed_xid is not null from outbox.partition where name = 'event_1'")
    restore(outbox, elsewhere, tmp_path)
    outbox.query("update outbox.setting set retention = '0'")
    outbox.relay(OUTBOX_RELAY_ADOPT="moved", OUTBOX_RELAY_MAINTAIN_INTERVAL_S="1").wait_leader()

    def gone():
        outbox.emit()
        return outbox.value("select to_regclass('outbox.event_1') is null")
    wait.until(gone, 20, "the first partition to go", 0.2)


def test_a_failover_to_a_standby_loses_nothing(receiver, tmp_path):
    """Emitters commit synchronously to both, the relay's cursors lag behind; the first one crashes."""
    with Cluster(fsync="on", synchronous_commit="on", wal_level="replica") as primary:
        outbox = Outbox(primary, tmp_path)
        outbox.subscribe("s", receiver.url(), batch_size=5)
        with Standby(primary) as standby:
            primary.query("postgres", "alter system set synchronous_standby_names = 'standby'")
            primary.query("postgres", "select pg_reload_conf()")
            wait.until(lambda: primary.value(
                "postgres", "select count(*) from pg_stat_replication where sync_state = 'sync'") == 1,
                       20, "the standby to be synchronous")
            both = (f"host={primary.directory},{standby.directory} port=5432,5432"
                    f" dbname={outbox.database} user=%s target_session_attrs=read-write")
            relay = Relay(outbox, {"shop": both % "relay"}).wait_leader()
            outbox.relays.append(relay)
            committed, unsure = [], []
            stop = threading.Event()
            emitter = threading.Thread(target=emit_until, args=(
                both % outbox.database, stop, committed, unsure))
            emitter.start()
            try:
                receiver.wait_for(200, 30)
                primary.halt(signal.SIGQUIT)
                standby.query("postgres", "select pg_promote()")
                outbox.pg = standby
                receiver.wait_for(receiver.count() + 200, 60)
            finally:
                stop.set()
                emitter.join()
            wait.until(lambda: set(committed) <= set(receiver.ids()), 30, "all committed events")
            stored = {row[0] for row in outbox.query("select event_id::text from outbox.event")}
            assert set(committed) <= stored
            assert set(receiver.ids()) - stored <= set(unsure)
            for sequence in receiver.by_key().values():
                first_of_each = list(dict.fromkeys(sequence))
                assert first_of_each == sorted(first_of_each)
            relay.stop()


def emit_until(dsn, stop, committed, unsure):
    """Emits for three keys in turn, and goes on wherever the database is."""
    connection, number = None, 0
    while not stop.is_set():
        event = None
        try:
            if not connection:
                connection = psycopg2.connect(dsn, connect_timeout=2)
            number += 1
            with connection.cursor() as cursor:
                cursor.execute("select outbox.emit('order', %s, 'order.changed', '{}')::text",
                               (str(number % 3),))
                event = cursor.fetchone()[0]
            connection.commit()
            committed.append(event)
        except psycopg2.Error:
            if event:
                unsure.append(event)  # lost during commit: it may have been done
            connection = None
            stop.wait(0.05)
    if connection:
        connection.close()
