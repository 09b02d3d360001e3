"""Drain while another transaction, which has emitted an event itself, stays open."""

from harness.drain import Drains, drain
from harness.figures import Goal, Table, ratio

TITLE = "Drain with another transaction open throughout"
QUESTION = "Does a transaction that has emitted and does not end hold up the events of the others?"

EVENTS, LATER = 200_000, 1_000_000


def run(bench):
    cluster, receiver = bench.cluster(), bench.receiver()
    relay = bench.relay(cluster)
    straggler = cluster.connect(cluster.database)
    straggler.autocommit = False
    events, batched = bench.size(EVENTS, 500), bench.size(LATER, 1000)
    rows, goals = [], []
    relay.subscribe(receiver.url)
    loaded = 0
    for text, batch, count, lanes in (("one POST per event", 1, events, bench.LANES),
                                      ("batches of 100", 100, batched, bench.BATCH_LANES)):
        cluster.load(count - loaded, first=loaded + 1)
        loaded = count
        without, beside = Drains(), Drains()
        relay.subscribe(receiver.url, batch_size=batch, lanes=lanes)
        for _ in bench.rounds():
            relay.replay()
            drain(cluster, receiver, relay, count, without)
            with straggler.cursor() as cursor:
                cursor.execute("select outbox.emit('order', '1', 'order.created', '{}')")
            relay.replay()
            drain(cluster, receiver, relay, count, beside)
            straggler.rollback()
        beside_without = ratio(beside.rate, without.rate)
        rows += [[text, "none", *without.cells(), "1.0"],
                 [text, "open", *beside.cells(), beside_without]]
        goals.append(Goal(f"Open beside none, {text}", beside_without, 0.95))
    straggler.close()
    return Table(["", "other transaction", *Drains.COLUMNS, "none = 1.0"], rows, goals, [
        f"{events:,} events one by one, {batched:,} in batches. The other transaction has emitted an "
        "event (and so holds a transaction id and an event id) before the relay starts, and ends "
        "after all has been delivered."])
