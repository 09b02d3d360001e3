"""From commit to POST on an idle system; see bench/latency.c."""

import statistics

from harness import peers, tools
from harness.figures import Figure, Goal, Table

TITLE = "Commit to POST, idle system"
QUESTION = "How long after its commit does an event reach the receiver, when nothing else goes on?"

SAMPLES = 300


class _Latencies:
    def __init__(self):
        self.p50, self.p99 = Figure([], "ms"), Figure([], "ms")
        self.from_ack = Figure([], "ms")

    def add(self, samples):
        sent = sorted(sample["post_us"] for sample in samples)
        self.p50.values.append(statistics.median(sent) / 1000)
        self.p99.values.append(sent[min(len(sent) - 1, int(len(sent) * 0.99))] / 1000)
        self.from_ack.values.append(
            statistics.median(sample["post_us"] - sample["committed_us"] for sample in samples) / 1000)

    def cells(self):
        return [self.p50, self.p99, self.from_ack]


def run(bench):
    samples = bench.size(SAMPLES, 10)
    cluster = bench.cluster()
    port = tools.free_port()
    url = f"http://127.0.0.1:{port}/events"
    relay = bench.relay(cluster)
    relay.subscribe(url)
    own, graphile = _Latencies(), _Latencies()
    worker = peers.Graphile(cluster, url, MODE="latency") if bench.peers_wanted else None
    for _ in bench.rounds():
        relay.start()
        own.add(tools.latencies(
            cluster, cluster.database, port, samples,
            "select outbox.emit('order', $1, 'order.created', bench.payload($1::text::bigint))"))
        relay.stop()
        if worker:
            worker.start()
            graphile.add(tools.latencies(
                cluster, worker.database, port, samples,
                "select graphile_worker.add_job('post', bench.payload($1::text::bigint)::json)"))
            worker.stop()
    rows = [["outbox-relay", *own.cells()]]
    if worker:
        rows.append([f"Graphile Worker {peers.version('graphile-worker')}", *graphile.cells()])
    return Table(["", "p50", "p99", "p50, from the answer to the commit"], rows, [
        Goal("Relay, p50", own.p50, 1, at_least=False),
        Goal("Relay, p99", own.p99, 3, at_least=False),
    ], [f"{samples} events in each round, each 20 to 60 ms after the one before was received. The "
        "time is taken before COMMIT is sent and when the POST's first byte is read, in one process."])
