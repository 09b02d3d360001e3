"""A webhook's signature by the ways that OpenSSL offers; see bench/sign.c."""

from harness import tools
from harness.figures import Figure, Table, ratio

TITLE = "One signature"
QUESTION = "What does an HMAC-SHA256 of an event cost, by which of OpenSSL's interfaces?"

OWN = "EVP_MAC_CTX, kept, begun again without a key"  # of shared/base/webhook.c


def run(bench):
    figures = {}
    for _ in bench.rounds():
        for found in tools.signatures():
            figure = figures.setdefault(found["way"], {}).setdefault(found["length"], Figure([], "µs"))
            figure.values.append(found["ns"] / 1000)
    lengths = list(figures[OWN])
    return Table(["", *(f"body of {length:,} bytes" for length in lengths), "the relay's = 1.0"], [
        [f"**{way}**" if way == OWN else way, *of.values(),
         ratio(of[lengths[0]], figures[OWN][lengths[0]])]
        for way, of in figures.items()
    ], [], ["Processor time; the ratio is that of the shorter body. The relay and the services use the "
            "way in bold."])
