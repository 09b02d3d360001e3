"""The relay's memory with a large backlog: while it waits, and while it drains."""


from harness.drain import Drains, drain
from harness.figures import Figure, Goal, Table
from lib import process

TITLE = "Memory with 1 M events waiting"
QUESTION = "How much memory does the relay have while a million events wait?"

EVENTS = 1_000_000


def run(bench):
    events = bench.size(EVENTS, 1000)
    cluster, receiver = bench.cluster(), bench.receiver()
    relay = bench.relay(cluster)
    nowhere = f"http://127.0.0.1:{process.free_port()}/"
    relay.subscribe(nowhere, lanes=bench.LANES)
    cluster.load(events)
    waiting, single, batches = Figure([], "MiB"), Drains(), Drains()
    for _ in bench.rounds():
        relay.subscribe(nowhere, lanes=bench.LANES)
        relay.replay()
        relay.start()
        cluster.wait_until("select bool_or(breaker = 'open') from outbox.subscription", 30,
                           "the breaker to open")
        waiting.values.append(relay.memory_mib("VmHWM"))
        relay.stop()
        relay.subscribe(receiver.url, lanes=bench.LANES)
        drain(cluster, receiver, relay, events, single)
        relay.subscribe(receiver.url, batch_size=100, lanes=bench.BATCH_LANES)
        relay.replay()
        drain(cluster, receiver, relay, events, batches)
    worst = Figure([max(values) for values in
                    zip(waiting.values, single.memory.values, batches.memory.values)], "MiB")
    return Table(["", "resident memory, peak"], [
        ["endpoint down, all wait", waiting],
        [f"draining, one POST per event, {bench.LANES} lanes", single.memory],
        [f"draining, batches of 100, {bench.BATCH_LANES} lanes", batches.memory],
    ], [Goal("Most", worst, 32, at_least=False)], [f"{events:,} events waiting at the start."])
