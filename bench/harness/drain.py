"""How fast a backlog is drained: from the first POST to the last, as the receiver counts them."""

import time

from . import processes
from .figures import Figure

INTERVAL_S = 0.01
SETTLED_AFTER_S = 0.3


class Drains:
    """The repeated drains of one consumer. Times are of processors, for each event."""

    def __init__(self):
        self.rate = Figure([], "/s")
        self.consumer = Figure([], "µs")
        self.receiver = Figure([], "µs")
        self.database = Figure([], "µs")
        self.memory = Figure([], "MiB")  # the most the consumer has had
        self.requests = []

    def cells(self):
        return [self.rate, self.consumer, self.database, self.receiver, self.memory]

    COLUMNS = ["events/s", "its processor time per event", "PostgreSQL's", "nginx's",
               "its memory, peak"]


class _Times:
    def __init__(self, cluster, receiver, consumer):
        self._of = (consumer.cpu_s, receiver.cpu_s, lambda: processes.tree_cpu_s(cluster.pid))
        self._before = [read() for read in self._of]

    def per_event_us(self, events):
        return [(read() - before) / events * 1e6 for read, before in zip(self._of, self._before)]


def drain(cluster, receiver, consumer, events, drains, timeout_s=600, **settings):
    """Starts the consumer, waits until all events are delivered, stops it, and adds to `drains`.
    Its start-up does not count: time begins with the last look at the receiver that saw no POST."""
    base = seen = receiver.requests()
    began = ended = times = None
    last_look = time.monotonic()
    deadline = last_look + timeout_s
    consumer.start(**settings)
    try:
        while True:
            count, look = receiver.requests(), time.monotonic()
            if count > seen:
                if began is None:
                    began, times = last_look, _Times(cluster, receiver, consumer)
                seen, ended = count, look
            elif began is not None and look > ended + SETTLED_AFTER_S and consumer.done():
                break
            if look > deadline:
                raise TimeoutError(f"{seen - base} requests for {events} events in {timeout_s} s")
            last_look = look
            time.sleep(INTERVAL_S)
        used = times.per_event_us(events)
        memory = consumer.memory_mib("VmHWM")
    finally:
        consumer.stop()
    if seen - base > events:
        raise RuntimeError(f"{seen - base} requests for {events} events: not what is measured here")
    drains.rate.values.append(events / (ended - began))
    drains.requests.append(seen - base)
    for figure, value in zip((drains.consumer, drains.receiver, drains.database, drains.memory),
                             (*used, memory)):
        figure.values.append(value)
