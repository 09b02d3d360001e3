"""Drain rate and memory as the backlog grows."""

from harness.drain import Drains, drain
from harness.figures import Table

TITLE = "A growing backlog"
QUESTION = "Does it matter how much waits?"

BACKLOGS = (10_000, 100_000, 1_000_000, 5_000_000)
LONGEST = 1_000_000  # without --long


def run(bench):
    longest = BACKLOGS[-1] if bench.long else bench.size(LONGEST, 1000)
    backlogs = [count for count in BACKLOGS if count <= longest] or [longest]
    cluster, receiver = bench.cluster(), bench.receiver()
    relay = bench.relay(cluster)
    relay.subscribe(receiver.url, batch_size=100, lanes=bench.BATCH_LANES)
    rows, loaded = [], 0
    for backlog in backlogs:
        cluster.load(backlog - loaded, first=loaded + 1)
        loaded = backlog
        drains = Drains()
        for _ in bench.rounds():
            relay.replay()
            drain(cluster, receiver, relay, backlog, drains)
        rows.append([f"{backlog:,}", *drains.cells()])
    return Table(["events waiting", *Drains.COLUMNS], rows, [], [
        "Batches of 100. A drain of 10,000 events takes less than the 10 ms between two looks at the "
        "receiver can tell exactly: its rate is a lower bound.",
        *([] if bench.long else ["5,000,000 with `make bench ROW=backlog LONG=1`."])])
