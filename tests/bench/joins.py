"""Joining: how long it takes, and what a member costs, with 10,000 rooms of one.

python -m tests.bench.joins --rounds 1 --only uvicorn,chat
"""

import statistics
import time
from dataclasses import dataclass

from . import processes
from .load import Load
from .members import KINDS
from .rooms import USERS, chat_server, populated_data
from .variants import SERVERS, chosen, options

ROUNDS = 1  # it takes long enough
ROOMS = 10_000
FIRST = 100  # members that are there before: what is needed once is needed by then
LAST = 500  # members whose joining is timed
SETTLE = 2.0  # seconds
VARIANTS = [
    (kind, name) for kind in SERVERS for name in ("tutorial", "chat", "recorded-chat")
]


@dataclass
class Joined:
    """What one round of one variant came to."""

    median: float  # ms until a member has the history, with nearly all rooms open
    slowest: float
    memory: float  # kB for each member


def measure(kind, name, rooms, migrated, cookies):
    """Fill all rooms with one member each."""
    with chat_server(kind, name, migrated) as server:

        def join(numbers):
            return [
                KINDS[name](server.port, f"room-{room}", cookies[room % USERS])
                for room in numbers
            ]

        members = join(range(FIRST))
        time.sleep(SETTLE)
        before = server.measured.memory()
        members += join(range(FIRST, rooms - LAST))
        last = join(range(rooms - LAST, rooms))
        time.sleep(SETTLE)
        memory = (server.measured.memory() - before) / (rooms - FIRST)
        Load([*members, *last]).close()
    waits = [1000 * member.joined_within for member in last]
    return Joined(statistics.median(waits), max(waits), memory)


def run(rounds=ROUNDS, only="", rooms=ROOMS):
    """Measure all variants, round by round; a list of `Joined` for each of them."""
    variants = chosen(VARIANTS, only)
    processes.raise_file_limit(rooms + 200)
    results = {variant: [] for variant in variants}
    with processes.pinned(), populated_data(rooms) as (migrated, cookies):
        for number in range(1, min(rounds, ROUNDS) + 1):
            for kind, name in variants:
                joined = measure(kind, name, rooms, migrated, cookies)
                results[kind, name].append(joined)
                print(
                    f"round {number}  {kind:<8}{name:<15}{joined.median:>6.2f} ms, "
                    f"slowest {joined.slowest:.1f}, {joined.memory:.1f} kB/member",
                    flush=True,
                )
    return results


def main():
    """Measure what the command line says."""
    given = options(__doc__, rounds=ROUNDS, rooms=ROOMS)
    run(given.rounds, given.only, given.rooms)


if __name__ == "__main__":
    main()
