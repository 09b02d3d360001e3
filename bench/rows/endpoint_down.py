"""One of four subscriptions' endpoints is down: what becomes of the other three?"""

import socket

from harness.drain import Drains, drain
from harness.figures import Table, ratio
from lib import process

TITLE = "One endpoint down"
QUESTION = "Does a subscriber that is down, or hangs, slow the others?"

EVENTS, OTHERS = 200_000, ("s1", "s2", "s3")


class _Others:
    """The relay, done when all but the subscription that is down are."""

    def __init__(self, relay, cluster):
        self._relay, self._cluster = relay, cluster

    def __getattr__(self, name):
        return getattr(self._relay, name)

    def done(self):
        return self._cluster.scalar(
            "select bool_and(position >= (select max(id) from outbox.event))"
            "  from outbox.subscription where name = any(%s)", (list(OTHERS),))


def run(bench):
    events = bench.size(EVENTS, 500)
    cluster, receiver = bench.cluster(), bench.receiver()
    relay = bench.relay(cluster)
    cluster.load(events)
    # Takes connections and never answers.
    hanging = socket.create_server(("127.0.0.1", 0), backlog=512)
    cases = {
        "none, there are three": None,
        "none, there are four": receiver.url,
        "the fourth refuses connections": f"http://127.0.0.1:{process.free_port()}/",
        "the fourth hangs": f"http://127.0.0.1:{hanging.getsockname()[1]}/",
    }
    for name in OTHERS:
        relay.subscribe(receiver.url, name=name, batch_size=100, lanes=bench.BATCH_LANES)
    drains = {case: Drains() for case in cases}
    for _ in bench.rounds():
        for case, url in cases.items():
            if url:
                relay.subscribe(url, name="s4", batch_size=100, lanes=bench.BATCH_LANES)
            relay.replay()
            healthy = len(OTHERS) + (url == receiver.url)
            consumer = relay if healthy > len(OTHERS) else _Others(relay, cluster)
            drain(cluster, receiver, consumer, events * healthy, drains[case],
                  OUTBOX_RELAY_SHUTDOWN_TIMEOUT_MS="100")
            if url:
                relay.unsubscribe("s4")
    hanging.close()
    base = drains["none, there are three"].rate
    rows = [[case, found.rate, found.consumer, found.memory, ratio(found.rate, base)]
            for case, found in drains.items()]
    return Table(["down", "deliveries/s, of those that are up", "relay's processor time for each",
                  "its memory, peak", "three alone = 1.0"], rows, [], [
        f"{events:,} events, all delivered to each subscription that is up, batches of 100."])
