"""Drain as more and more subscriptions take the same events."""

from harness.drain import Drains, drain
from harness.figures import Table

TITLE = "More and more subscriptions"
QUESTION = "What does it cost when several subscribers take every event?"

EVENTS, COUNTS = 200_000, (1, 2, 4, 8, 16)


def run(bench):
    events = bench.size(EVENTS, 500)
    cluster, receiver = bench.cluster(), bench.receiver()
    relay = bench.relay(cluster)
    cluster.load(events)
    rows, made = [], 0
    for count in COUNTS:
        for made in range(made + 1, count + 1):
            relay.subscribe(receiver.url, name=f"s{made}", batch_size=100, lanes=bench.BATCH_LANES)
        drains = Drains()
        for _ in bench.rounds():
            relay.replay()
            drain(cluster, receiver, relay, events * count, drains)
        rows.append([str(count), *drains.cells()])
    return Table(["subscriptions", *(column.replace("event", "delivery") if i else "deliveries/s"
                                     for i, column in enumerate(Drains.COLUMNS))], rows, [], [
        f"{events:,} events, each delivered to every subscription, batches of 100."])
