"""Rooms: what a message and a delivery cost, beside chats that store nothing.

python -m tests.bench.rooms --rounds 1 --only uvicorn,chat,tutorial
"""

import contextlib
import json
import statistics
import subprocess
import time
from dataclasses import dataclass

from ..server import ROOT
from . import processes
from .members import KINDS, Rooms, acknowledgements
from .servers import running
from .variants import SERVERS, chosen, options, socketio_if_installed

ROUNDS = 5
SECONDS = 2.5
WARM_UP = 0.5
IDLE = 0.3  # seconds without a word
SETTLE = 1.0  # seconds after so many have joined, or have been counted
RESTING = 0.2  # of a core, at most, that a server uses which has nothing to do
REST_WITHIN = 30.0  # seconds; the tutorial's layer is long busy after a message
USERS = 50
ACKNOWLEDGEMENTS = 200
NO_LIMIT = "1000000"


@dataclass(frozen=True)
class Case:
    """Rooms of one size, and how often something is said in each."""

    name: str
    rooms: int
    members: int
    rate: int = 0  # messages a second at most; 0 is as soon as all have the last one
    seconds: float = SECONDS


CASES = [
    Case("50 rooms of 1", 50, 1),
    Case("1 room of 200", 1, 200),
    Case("1 room of 2,000", 1, 2_000, rate=10, seconds=4),
]
NAMES = ["tutorial", "chat", "recorded-chat"]
VARIANTS = [(kind, name) for kind in SERVERS for name in NAMES]
SOCKETIO_ROOMS = ("uvicorn", "socketio-rooms")


@dataclass
class Talk:
    """What one round of one case on one variant came to."""

    rate: float  # messages a second
    cost: float  # µs of the server's CPU for a delivery, storing included
    p50: float  # ms until all members have a message
    p99: float
    acknowledged: float | None  # ms until the sender is told, alone; median
    deliveries: int


@contextlib.contextmanager
def populated_data(rooms=50):
    """Migrated data with users and rooms; where it is, and the users' cookies."""
    with processes.migrated_data() as migrated:
        done = subprocess.run(
            processes.command("tests.bench.people", str(USERS), str(rooms)),
            cwd=ROOT,
            env=processes.environment(migrated),
            check=True,
            stdout=subprocess.PIPE,
        )
        yield migrated, json.loads(done.stdout)


def chat_server(kind, name, migrated):
    """Run a chat without limits of its own."""
    return running(
        kind,
        name,
        migrated,
        MONITOR_ENABLED=str(name.startswith("recorded-")),
        CHAT_RATE=NO_LIMIT,
        CHAT_MAX_CONNECTIONS=NO_LIMIT,
    )


def measure(kind, name, case, migrated, cookies):
    """Measure one case on a server of its own."""
    with chat_server(kind, name, migrated) as server:
        rooms = [
            [
                KINDS[name](server.port, f"room-{room}", cookies[number % USERS])
                for number in range(room, room + case.members)
            ]
            for room in range(case.rooms)
        ]
        sent, acknowledged = 0, None
        if name.endswith("chat"):
            first = rooms[0][0]
            sent = ACKNOWLEDGEMENTS if case.members == 1 else 0
            if sent:
                waits = acknowledgements(first, ACKNOWLEDGEMENTS)
                acknowledged = statistics.median(waits) / 1e6
        time.sleep(SETTLE)
        load = Rooms(rooms)
        sent += load.run(WARM_UP, case.rate).messages
        server.wait_for_events(receive=sent)
        time.sleep(SETTLE)
        idle = rest(server.measured)

        cpu = server.measured.cpu()
        spoken = load.run(case.seconds, case.rate)
        answered_at = time.monotonic()
        server.wait_for_events(receive=sent + spoken.messages)
        lag = time.monotonic() - answered_at
        cpu = server.measured.cpu() - cpu
        # A server that is told to say little does meanwhile what it does when idle.
        resting = lag + (spoken.seconds if case.rate else 0)
        load.close()
    return Talk(
        rate=spoken.rate,
        cost=(cpu - idle * resting) / spoken.deliveries * 1e6,
        p50=spoken.percentile(50),
        p99=spoken.percentile(99),
        acknowledged=acknowledged,
        deliveries=spoken.deliveries,
    )


def rest(measured):
    """Wait until a server has nothing more to do; return the cores it uses then."""
    for _ in range(int(REST_WITHIN / IDLE)):
        cpu = measured.cpu()
        time.sleep(IDLE)
        idle = (measured.cpu() - cpu) / IDLE
        if idle < RESTING:
            return idle
    raise AssertionError(f"the server did not come to rest within {REST_WITHIN} s")


def run(rounds=ROUNDS, only="", cases=""):
    """Measure all cases of all variants; lists of `Talk` by kind, name and case."""
    more = [SOCKETIO_ROOMS] if socketio_if_installed() else []
    variants = chosen([*VARIANTS, *more], only)
    cases = [case for case in CASES if case.name.startswith(cases)]
    processes.raise_file_limit(max(case.members for case in cases) + 200)
    results = {(*variant, case.name): [] for case in cases for variant in variants}
    with processes.pinned(), populated_data() as (migrated, cookies):
        for number in range(1, rounds + 1):
            for case in cases:
                for kind, name in variants:
                    talk = measure(kind, name, case, migrated, cookies)
                    results[kind, name, case.name].append(talk)
                    tell(number, kind, name, case, talk)
    return results


def tell(number, kind, name, case, talk):
    """Print one measurement."""
    ack = f"ack {talk.acknowledged:.2f} ms" if talk.acknowledged else ""
    print(
        f"round {number}  {kind:<8}{name:<15}{case.name:<16}{talk.rate:>8.1f} msg/s "
        f"{talk.cost:>7.1f} µs/delivery  p50 {talk.p50:.2f} p99 {talk.p99:.2f} ms  "
        f"{talk.deliveries} deliveries  {ack}",
        flush=True,
    )


def main():
    """Measure what the command line says."""
    given = options(__doc__, rounds=ROUNDS, cases="")
    run(given.rounds, given.only, given.cases)


if __name__ == "__main__":
    main()
