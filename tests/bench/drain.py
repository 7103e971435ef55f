"""The drain: how fast a burst is stored that came while the database was away.

python -m tests.bench.drain --rounds 1 --only sqlite
"""

import contextlib
import subprocess
import threading
import time
from dataclasses import dataclass

from . import processes
from .burst import CONNECTIONS
from .databases import DATABASES
from .variants import options

ROUNDS = 5
EVENTS = 300_000
LAST_AT_MOST = 180  # seconds; a burst that hangs is killed
STORE_WITHIN = 120
LOOK_EVERY = 0.02
RECEIVED = "SELECT count(*) FROM monitor_event WHERE kind = 'receive'"
ACCEPTED = "SELECT count(accepted_at) FROM monitor_connection"
NEWEST = "SELECT max(id) FROM monitor_event"  # found without counting


@dataclass
class Drain:
    """What one round came to."""

    rate: float  # events a second
    cost: float  # µs of the process's CPU to store an event
    journal_cost: float  # µs of its CPU to receive and journal one


class Burst:
    """The process that journals a burst and stores it."""

    def __init__(self, process):
        self.process = process

    def hear(self, word):
        """Wait for this word; return what was said with it."""
        line = self.process.stdout.readline()
        assert line.startswith(word), f"{line!r} instead of {word}"
        return line.removeprefix(word).strip()

    def go(self):
        """Let the burst begin."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()


@contextlib.contextmanager
def burst_process(database, events):
    """Start a process that receives so many events when it is told to."""
    arguments = ["tests.bench.burst", str(events)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = database.environment
    process = processes.start(arguments, database.data_dir, environment, **pipes)
    killer = threading.Timer(LAST_AT_MOST, process.kill)
    killer.start()
    try:
        with process:
            yield Burst(process)
    finally:
        killer.cancel()


def measure(databases, events):
    """Journal a burst while the database is held; release it, and wait."""
    with databases.fresh() as database, burst_process(database, events) as burst:
        burst.hear("open")
        wait_for(database, ACCEPTED, CONNECTIONS)
        before = database.ask(NEWEST)
        database.hold()
        burst.go()
        journal_cpu = float(burst.hear("journalled"))
        assert database.ask(RECEIVED) == 0, "the database was not held"

        measured = processes.Measured(burst.process.pid)
        cpu, released_at = measured.cpu(), time.monotonic()
        database.release()
        wait_for(database, NEWEST, before + events)
        wait_for(database, RECEIVED, events)
        seconds = time.monotonic() - released_at
        cpu = measured.cpu() - cpu
    return Drain(
        rate=events / seconds,
        cost=cpu / events * 1e6,
        journal_cost=journal_cpu / events * 1e6,
    )


def wait_for(database, sql, least):
    """Wait until the answer is that much. AssertionError if it never is."""
    deadline = time.monotonic() + STORE_WITHIN
    while (found := database.ask(sql) or 0) < least:
        if time.monotonic() > deadline:
            raise AssertionError(
                f"{found} instead of {least} after {STORE_WITHIN} s: {sql}"
            )
        time.sleep(LOOK_EVERY)


def run(rounds=ROUNDS, events=EVENTS, only=""):
    """Measure on the databases, round by round; a list of `Drain` for each of them."""
    names = [name for name in DATABASES if not only or name.lower() in only.lower()]
    results = {name: [] for name in names}
    with processes.pinned(), contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(DATABASES[name]().running()) for name in names
        }
        for number in range(1, rounds + 1):
            for name, databases in running.items():
                drain = measure(databases, events)
                results[name].append(drain)
                print(
                    f"round {number}  {name:<12}{drain.rate:>7.0f} events/s  "
                    f"{drain.cost:.1f} µs to store, {drain.journal_cost:.1f} µs to "
                    "journal an event",
                    flush=True,
                )
    return results


def main():
    """Measure what the command line says."""
    given = options(__doc__, rounds=ROUNDS, events=EVENTS)
    run(given.rounds, given.events, given.only)


if __name__ == "__main__":
    main()
