"""Drain as payloads grow."""

from harness.drain import Drains, drain
from harness.figures import Figure, Table

TITLE = "Growing payloads"
QUESTION = "What do large payloads cost, and do they cost memory?"

# Payload bytes, events.
SIZES = ((100, 200_000), (1_000, 200_000), (8_000, 50_000), (64_000, 10_000))


def run(bench):
    cluster, receiver = bench.cluster(), bench.receiver()
    relay = bench.relay(cluster)
    relay.subscribe(receiver.url)
    rows = []
    for size, full in SIZES:
        events = bench.size(full, 200)
        first = cluster.scalar("select coalesce(max(id), 0) + 1 from outbox.event")
        cluster.load(events, payload=f"bench.payload_of(n, {size})")
        for text, batch, lanes in (("one", 1, bench.LANES), ("batches of 100", 100, bench.BATCH_LANES)):
            relay.subscribe(receiver.url, batch_size=batch, lanes=lanes)
            drains = Drains()
            for _ in bench.rounds():
                cluster.execute("select outbox.replay('bench', %s)", (first,))
                drain(cluster, receiver, relay, events, drains)
            volume = Figure([rate * size / 1e6 for rate in drains.rate.values], "MB/s")
            rows.append([f"{size:,} B", text, f"{volume.median:.0f} MB/s", *drains.cells()])
    return Table(["payload", "per request", "payload/s", *Drains.COLUMNS], rows, [], [
        "Incompressible text; " + ", ".join(f"{count:,} of {size:,} B" for size, count in SIZES) +
        " events."])
