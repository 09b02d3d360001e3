"""What a row gets: sizes, rounds, and parts that are stopped when it ends."""

from contextlib import ExitStack

from .cluster import Cluster
from .receiver import Receiver
from .relay import Relay


class Bench:
    """Context of one row."""

    LANES = 64  # the relay's requests in flight with a POST for each event
    BATCH_LANES = 8  # and with batches

    def __init__(self, smoke=False, rounds=3, long=False, peers_wanted=True):
        self.smoke, self.long, self.peers_wanted = smoke, long, peers_wanted
        self._rounds = 1 if smoke else rounds
        self._parts = ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._parts.close()

    def size(self, full, smoke):
        return smoke if self.smoke else full

    def rounds(self):
        """What is compared is measured in turns, so that a change of the machine's load meets all
        of them."""
        return range(self._rounds)

    def cluster(self, **settings):
        cluster = Cluster(**settings)
        self._parts.callback(cluster.stop)
        return cluster

    def receiver(self):
        receiver = Receiver()
        self._parts.callback(receiver.stop)
        return receiver

    def relay(self, cluster):
        relay = Relay(cluster)
        self._parts.callback(relay.stop)
        return relay

    def check(self, holds, what):
        """What has to hold in any run, also on a busy machine."""
        if not holds:
            raise AssertionError(f"does not hold: {what}")
