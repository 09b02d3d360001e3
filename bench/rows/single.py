"""Drain with a POST for each event: the relay, Graphile Worker, pg-boss, one after the other in
each round."""

from harness import peers
from harness.drain import Drains, drain
from harness.figures import Goal, Table, ratio

TITLE = "Drain, one POST per event"
QUESTION = "How many events per second leave a backlog when each is an HTTP request of its own?"

EVENTS, GRAPHILE_JOBS, PGBOSS_JOBS = 200_000, 60_000, 30_000


def run(bench):
    events = bench.size(EVENTS, 500)
    graphile_jobs, pgboss_jobs = bench.size(GRAPHILE_JOBS, 500), bench.size(PGBOSS_JOBS, 500)
    cluster, receiver = bench.cluster(), bench.receiver()
    relay = bench.relay(cluster)
    relay.subscribe(receiver.url, lanes=bench.LANES)
    cluster.load(events)
    own, graphile, pgboss = Drains(), Drains(), Drains()
    for _ in bench.rounds():
        relay.replay()
        drain(cluster, receiver, relay, events, own)
        if not bench.peers_wanted:
            continue
        worker = peers.Graphile(cluster, receiver.url)
        worker.load(graphile_jobs)
        drain(cluster, receiver, worker, graphile_jobs, graphile)
        cluster.drop_database(worker.database)
        worker = peers.PgBoss(cluster, receiver.url)
        worker.load(pgboss_jobs)
        drain(cluster, receiver, worker, pgboss_jobs, pgboss)
        cluster.drop_database(worker.database)
    bench.check(own.requests == [events] * len(own.requests), "a POST for each event")
    rows = [[f"outbox-relay, {bench.LANES} lanes", *own.cells(), ""]]
    goals = []
    if bench.peers_wanted:
        times_graphile = ratio(own.rate, graphile.rate)
        rows[0][-1] = "1.0"
        rows += [
            [f"Graphile Worker {peers.version('graphile-worker')}", *graphile.cells(),
             ratio(graphile.rate, own.rate)],
            [f"pg-boss {peers.version('pg-boss')}", *pgboss.cells(), ratio(pgboss.rate, own.rate)],
        ]
        goals = [Goal("Times Graphile Worker", times_graphile, 3)]
    return Table(["", *Drains.COLUMNS, "relay = 1.0"], rows, goals, [
        f"{events:,} events of about 200 bytes and 10,000 keys; Graphile Worker {graphile_jobs:,}, "
        f"pg-boss {pgboss_jobs:,} jobs of the same payload."])
