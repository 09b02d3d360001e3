"""What emit costs a busy database: pgbench with 32 clients, each transaction one event."""

from pathlib import Path

from harness.figures import Figure, Goal, Table, ratio

TITLE = "Commits per second with emit"
QUESTION = ("What does emitting an event cost 32 clients, with the relay running, beside an INSERT "
            "into a table of their own and beside a NOTIFY with each row?")

SECONDS = 8
SCRIPTS = Path(__file__).resolve().parents[1] / "sql"
CASES = {
    "insert": "INSERT into a plain table",
    "emit": "outbox.emit()",
    "notify": "INSERT into a plain table and pg_notify()",
}
TABLE = """
create table bench.plain (like outbox.event including defaults including identity);
alter table bench.plain add primary key (id);
create index on bench.plain (txid);
create index on bench.plain (event_id);
"""


def run(bench):
    seconds = bench.size(SECONDS, 1)
    cluster, receiver = bench.cluster(), bench.receiver()
    relay = bench.relay(cluster)
    relay.subscribe(receiver.url, batch_size=100)
    cluster.execute(TABLE)
    rates = {case: Figure([], "/s") for case in CASES}
    relay.start()
    for _ in bench.rounds():
        for case, figure in rates.items():
            figure.values.append(cluster.pgbench(SCRIPTS / f"{case}.sql", seconds))
            cluster.wait_until("select coalesce(sum(lag_events), 0) = 0 from outbox.status",
                               60, "the relay to have delivered all")
            cluster.execute("truncate bench.plain")
    relay.stop()
    base = rates["insert"]
    return Table(["each transaction", "commits/s", "INSERT = 1.0"], [
        [text, rates[case], ratio(rates[case], base)] for case, text in CASES.items()
    ], [Goal("emit beside INSERT", ratio(rates["emit"], base), 0.85)], [
        f"pgbench -M prepared -c 32 -j 2, {seconds} s each, in turns; bench/sql/*.sql. The relay "
        "runs throughout and delivers what is emitted in batches of 100.",
        "The plain table has the columns and the indexes of outbox.event."])
