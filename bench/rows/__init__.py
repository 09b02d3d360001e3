"""The rows of the benchmark, by their names. Each module has a TITLE, a QUESTION and run(bench)."""

from . import (backlog, batches, client, emit, endpoint_down, instructions, latency, memory,
               open_transaction, payload, signature, single, subscriptions)

ROWS = {
    "single": single,
    "batches": batches,
    "latency": latency,
    "emit": emit,
    "instructions": instructions,
    "open-transaction": open_transaction,
    "memory": memory,
    "backlog": backlog,
    "subscriptions": subscriptions,
    "payload": payload,
    "endpoint-down": endpoint_down,
    "client": client,
    "signature": signature,
}
