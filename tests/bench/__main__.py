"""`make bench`: how long a start takes, and how soon staff see what a user types.

Figures of one run on one machine, which others may share: look at the medians.
"""

import contextlib
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from ..browser import chromium
from ..server import Server

STARTS = 5
KEYSTROKES = 20


def main():
    """Measure on both servers and print a table."""
    print(f"{platform.machine()}, Python {platform.python_version()}")
    print(f"{'':<28}{'median':>10}{'best':>10}{'worst':>10}")
    for kind in ("daphne", "uvicorn"):
        with tempfile.TemporaryDirectory() as directory:
            cold, warm = starts(kind, Path(directory))
        row(f"{kind}: start, no data", cold)
        row(f"{kind}: start, with data", warm)
        with tempfile.TemporaryDirectory() as directory:
            row(f"{kind}: keystroke to dashboard", keystrokes(kind, directory))


def row(name, seconds):
    """Print the median, the least and the most of some durations."""
    figures = (statistics.median(seconds), min(seconds), max(seconds))
    print(f"{name:<28}" + "".join(f"{figure:>8.3f} s" for figure in figures))
    sys.stdout.flush()


def starts(kind, directory):
    """Seconds from the command to the first page, without and with data."""
    cold, warm = [], []
    for number in range(STARTS):
        server = Server(directory / str(number), SERVER=kind)
        for durations in (cold, warm):
            started_at = time.monotonic()
            server.start()
            durations.append(time.monotonic() - started_at)
            server.stop()
    return cold, warm


def keystrokes(kind, directory):
    """Seconds from Enter in a room to the message in a dashboard's feed."""
    durations = []
    with contextlib.ExitStack() as stack:
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


if __name__ == "__main__":
    main()
