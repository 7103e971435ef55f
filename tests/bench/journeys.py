"""Journeys: how long a start takes, and how soon staff see what a user types.

    python -m tests.bench.journeys --rounds 1 --only uvicorn

These processes are not pinned: a browser needs more than one core.
"""

import contextlib
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from ..browser import chromium
from ..server import Server
from .variants import SERVERS, options

ROUNDS = 5
KEYSTROKES = 8  # in each round
COLD, WARM = "start, no data", "start, with data"
KEYSTROKE = "keystroke to dashboard"


def starts(kind):
    """Seconds from the command to the first page, without and with data."""
    durations = []
    with tempfile.TemporaryDirectory() as directory:
        server = Server(Path(directory) / "data", SERVER=kind)
        for _ in (COLD, WARM):
            started_at = time.monotonic()
            server.start()
            durations.append(time.monotonic() - started_at)
            server.stop()
    return durations


def keystrokes(kind):
    """Seconds from Enter in a room to the message in a dashboard's feed."""
    durations = []
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(Server(directory, SERVER=kind, CHAT_RATE="100"))
        browser = chromium.launch(stack.enter_context(sync_playwright()))
        olga = chromium.context_of(browser, server, "olga").new_page()
        olga.goto("/admin/monitor/live/")
        olga.locator("[data-state=live]").wait_for()
        ana = chromium.context_of(browser, server, "ana").new_page()
        ana.goto("/rooms/lobby/")
        ana.locator("#message").wait_for()
        ana.get_by_text("connected", exact=True).first.wait_for()
        for number in range(KEYSTROKES):
            text = f"keystroke {number}."
            ana.locator("#message").fill(text)
            started_at = time.monotonic()
            ana.locator("#message").press("Enter")
            olga.locator("#feed-rows").get_by_text(text).wait_for()
            durations.append(time.monotonic() - started_at)
            # Away from the beat of the ticks, which would flatter or hurt them all.
            olga.wait_for_timeout(300 + 37 * number)
        browser.close()
    return durations


def run(rounds=ROUNDS, only=""):
    """Measure on both servers, round by round; lists of seconds."""
    kinds = [kind for kind in SERVERS if kind in (only or kind)]
    what = (COLD, WARM, KEYSTROKE)
    results = {(kind, name): [] for kind in kinds for name in what}
    for number in range(1, rounds + 1):
        for kind in kinds:
            cold, warm = starts(kind)
            round_of = {COLD: [cold], WARM: [warm], KEYSTROKE: keystrokes(kind)}
            for name, seconds in round_of.items():
                results[kind, name] += seconds
                median = statistics.median(seconds)
                print(f"round {number}  {kind:<8}{name:<24}{median:.3f} s", flush=True)
    return results


def main():
    """Measure what the command line says."""
    given = options(__doc__, rounds=ROUNDS)
    run(given.rounds, given.only)


if __name__ == "__main__":
    main()
