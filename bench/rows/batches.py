"""Drain in batches of 100, beside a plain libpq read of the same table and Graphile Worker."""

from harness import peers, tools
from harness.drain import Drains, drain
from harness.figures import Figure, Goal, Table, ratio

TITLE = "Drain, batches of 100"
QUESTION = ("How many events per second leave a backlog when the subscriber takes batches, and how "
            "far is that from merely reading them?")

EVENTS, GRAPHILE_JOBS, BATCH = 1_000_000, 60_000, 100


def run(bench):
    events, jobs = bench.size(EVENTS, 1000), bench.size(GRAPHILE_JOBS, 500)
    cluster, receiver = bench.cluster(), bench.receiver()
    relay = bench.relay(cluster)
    relay.subscribe(receiver.url, batch_size=BATCH, lanes=bench.BATCH_LANES)
    cluster.load(events)
    own, graphile = Drains(), Drains()
    reads = {mode: Figure([], "/s") for mode in tools.READ_MODES}
    for _ in bench.rounds():
        for mode, figure in reads.items():
            figure.values.append(tools.read_rate(cluster, mode, events))
        relay.replay()
        drain(cluster, receiver, relay, events, own)
        if bench.peers_wanted:
            worker = peers.Graphile(cluster, receiver.url)
            worker.load(jobs)
            drain(cluster, receiver, worker, jobs, graphile)
            cluster.drop_database(worker.database)
    best = max(reads.values(), key=lambda figure: figure.median)
    rows = [[f"outbox-relay, {bench.BATCH_LANES} lanes", *own.cells()]]
    rows += [[f"libpq, {text}", reads[mode], "", "", "", ""]
             for mode, text in tools.READ_MODES.items()]
    goals = [Goal("Of the fastest plain read", ratio(own.rate, best), 0.5)]
    if bench.peers_wanted:
        rows.append([f"Graphile Worker {peers.version('graphile-worker')}, one POST per job",
                     *graphile.cells()])
        goals.insert(0, Goal("Times Graphile Worker", ratio(own.rate, graphile.rate), 20))
    average = events * len(own.requests) / sum(own.requests)
    return Table(["", *Drains.COLUMNS], rows, goals, [
        f"{events:,} events of about 200 bytes and 10,000 keys; {average:.0f} events per request on "
        "average.",
        "The plain reads take the same columns of the same rows and drop them."])
