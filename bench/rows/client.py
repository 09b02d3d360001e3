"""The relay's own HTTP/1.1 client beside libcurl; see bench/client.c."""

from harness import tools
from harness.figures import Figure, Goal, Table, ratio

TITLE = "Our own HTTP client beside libcurl"
QUESTION = "What does a POST cost by the relay's own client, and what by libcurl alone?"

REQUESTS, CONNECTIONS = 100_000, 8
WAYS = {"http1": "our own client (http1_transfer.c)", "libcurl": "libcurl alone (curl_transfer.c)"}


class _Requests:
    def __init__(self):
        self.rate, self.cpu = Figure([], "/s"), Figure([], "µs")
        self.user, self.system = Figure([], "µs"), Figure([], "µs")

    def add(self, found, requests):
        self.rate.values.append(requests / found["seconds"])
        self.user.values.append(found["user_s"] / requests * 1e6)
        self.system.values.append(found["system_s"] / requests * 1e6)
        self.cpu.values.append((found["user_s"] + found["system_s"]) / requests * 1e6)

    def cells(self):
        return [self.rate, self.cpu, self.user, self.system]


def run(bench):
    requests = bench.size(REQUESTS, 500)
    receiver = bench.receiver()
    ways = {way: _Requests() for way in WAYS}
    for _ in bench.rounds():
        for way, figures in ways.items():
            before = receiver.requests()
            figures.add(tools.post(way, receiver.url, requests, CONNECTIONS), requests)
            bench.check(receiver.requests() - before == requests, "each request was received once")
    own, libcurl = ways.values()
    return Table(
        ["", "requests/s", "processor time of a request", "of it in the program", "in the kernel",
         "processor time, our own = 1.0"],
        [[text, *ways[way].cells(), ratio(ways[way].cpu, own.cpu)] for way, text in WAYS.items()],
        [Goal("libcurl alone, processor time of our own client's", ratio(libcurl.cpu, own.cpu), 1.5)],
        [f"{requests:,} POSTs of one event in each round on {CONNECTIONS} kept-alive connections, "
         "both ways linked from the relay's objects and run by its loop, without database and lanes."])
