"""What emit costs a busy database: pgbench with 32 clients, each transaction with one event."""

from pathlib import Path

from harness.figures import Figure, Goal, Table, ratio

TITLE = "Commits per second with emit"
QUESTION = ("What does emitting an event cost 32 clients, with the relay running, beside an INSERT "
            "into a table of their own and beside a NOTIFY with each row?")

SECONDS = 8
SQL = Path(__file__).resolve().parents[1] / "sql"
# How the event is written, and whether outbox.emit() is the native one (None: it isn't called).
EVENTS = {
    "INSERT into a plain table": (("insert",), None),
    "outbox.emit(), native": (("emit",), True),
    "outbox.emit(), PL/pgSQL": (("emit",), False),
    "INSERT into a plain table and pg_notify()": (("insert", "notify"), None),
}
PLAIN, *EMITS, _ = EVENTS
# What else there is in the transaction.
TRANSACTIONS = {"the order and its event": ("order",), "the event alone": ()}
TABLES = """
create table bench.plain (like outbox.event including defaults including identity);
alter table bench.plain add primary key (id);
create index on bench.plain (txid);
create index on bench.plain (event_id);
create table bench.orders (id bigint generated always as identity primary key,
    user_id bigint not null, status text not null, total numeric(14, 2) not null);
create index on bench.orders (user_id);
alter table bench.plain owner to bench;
alter table bench.orders owner to bench;
"""


def _script(cluster, statements):
    """A pgbench script: `statements`, the names of files in bench/sql, in one transaction."""
    lines = [r"\set key random(1, 10000)", *((SQL / f"{name}.sql").read_text() for name in statements)]
    if len(statements) > 1:
        lines[1:] = ["begin;", *lines[1:], "commit;"]
    script = cluster.directory / "pgbench.sql"
    script.write_text("\n".join(lines))
    return script


def run(bench):
    seconds = bench.size(SECONDS, 1)
    cluster, receiver = bench.cluster(), bench.receiver()
    relay = bench.relay(cluster)
    relay.subscribe(receiver.url, batch_size=100, lanes=bench.BATCH_LANES)
    cluster.execute(TABLES)
    cases = [(transaction, event) for transaction in TRANSACTIONS for event in EVENTS]
    rates = {case: Figure([], "/s") for case in cases}
    relay.start()
    for _ in bench.rounds():
        for case in cases:
            transaction, event = case
            statements, native = EVENTS[event]
            if native is not None:
                relay.use_native_emit(native)
            script = _script(cluster, [*TRANSACTIONS[transaction], *statements])
            rates[case].values.append(cluster.pgbench(script, seconds, user="bench"))
            cluster.wait_until("select coalesce(sum(lag_events), 0) = 0 from outbox.status",
                               60, "the relay to have delivered all")
            cluster.execute("truncate bench.plain, bench.orders")
    relay.stop()
    ratios = {case: ratio(rates[case], rates[case[0], PLAIN]) for case in cases}
    return Table(["each transaction writes", "the event by", "commits/s", "INSERT = 1.0"], [
        [*case, rates[case], ratios[case]] for case in cases
    ], [Goal(f"{event} beside INSERT, {transaction}", ratios[transaction, event], 0.85)
        for transaction in TRANSACTIONS for event in EMITS], [
        f"pgbench -M prepared -c 32 -j 2, {seconds} s each, in turns; bench/sql/*.sql. The relay "
        "runs throughout and delivers what is emitted in batches of 100.",
        "The plain table has the columns of outbox.event, and indexes on the same.",
        "The clients log in as the role that owns the tables and the outbox."])
