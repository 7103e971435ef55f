"""Memory: what a connection costs that is open and says nothing.

python -m tests.bench.memory --rounds 1 --only uvicorn,bare,recorded-bare
"""

import time

from . import processes
from .load import Client, Load
from .servers import running
from .variants import OURS, chosen, options

ROUNDS = 5
CONNECTIONS = 2_000
FIRST = 100  # connections that are open before: what is needed once is needed by then
SETTLE = 1.0  # seconds
FILES = CONNECTIONS + FIRST + 100
VARIANTS = [variant for variant in OURS if variant[1] != "stock-acreate"]


def measure(kind, name, migrated):
    """kB of memory for each connection, the first hundred not counted."""
    with running(kind, name, migrated) as server:
        first = connect(server, FIRST)
        before = server.measured.memory()
        more = connect(server, CONNECTIONS, already=FIRST)
        after = server.measured.memory()
        load = Load([*first, *more])
        load.close()
        everyone = FIRST + CONNECTIONS
        server.wait_for_events(connect=everyone, receive=everyone, disconnect=everyone)
    return (after - before) / CONNECTIONS


def connect(server, count, already=0):
    """Open connections, which exchange one message each, and let the server rest."""
    clients = [Client(server.port, already + number) for number in range(count)]
    server.wait_for_events(receive=already + count)
    time.sleep(SETTLE)
    return clients


def run(rounds=ROUNDS, only=""):
    """Measure all variants, round by round; a list of kB for each of them."""
    variants = chosen(VARIANTS, only)
    processes.raise_file_limit(FILES)
    results = {variant: [] for variant in variants}
    with processes.pinned(), processes.migrated_data() as migrated:
        for number in range(1, rounds + 1):
            for kind, name in variants:
                size = measure(kind, name, migrated)
                results[kind, name].append(size)
                print(
                    f"round {number}  {kind:<8}{name:<15}{size:>6.1f} kB/connection",
                    flush=True,
                )
    return results


def main():
    """Measure what the command line says."""
    given = options(__doc__, rounds=ROUNDS)
    run(given.rounds, given.only)


if __name__ == "__main__":
    main()
