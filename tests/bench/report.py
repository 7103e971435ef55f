"""The report: what was measured, as tables in Markdown."""

import datetime
import os
import platform
import sqlite3
import statistics
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ..services import postgres_program
from . import drain, echo, histories, joins, memory, rooms, targets
from .load import TEXT_SIZE

PACKAGES = (
    *("django", "channels", "daphne", "twisted", "autobahn", "uvicorn", "uvloop"),
    *("httptools", "websockets", "orjson", "psycopg", "python-socketio"),
)
RECORDING = """\
# Benchmarks of the recording

What recording costs, measured side by side. `make bench` makes this page anew, and
`benchmarks-chat.md` for the chat; `make bench ONLY=echo` measures one part (echo,
memory, drain, journeys, rooms or joins) and prints it. Each figure is the median of all
rounds, with the least and the most in brackets. In a round every variant has its turn,
on a server and data of its own, before the next round begins; what is compared with
each other is compared within a round.
"""
CHAT = """\
# Benchmarks of the chat

What chatting costs, measured side by side: `make bench ONLY="rooms joins"` makes this
page anew. How it is measured stands on the page about [recording](benchmarks.md).
"""
HISTORIES = """\
# Benchmarks of long histories

What a room with many messages costs: `make bench ONLY=histories` makes this page anew.
"""
CHATS = """\
| application | |
|---|---|
| tutorial | what Channels' tutorial does, for logged-in users; nothing is stored |
| socketio-rooms | python-socketio's rooms, `AsyncServer`; it stores nothing |
| chat | ours as `manage.py up` runs it, on its own protocols for daphne and uvicorn |
| recorded-chat | the same with the monitor switched on |
"""
APPLICATIONS = """\
| application | |
|---|---|
| bare | an ASGI function that echoes: the limit |
| recorded-bare | the same inside of `MonitorMiddleware` |
| stock | an echo with Channels' `AsyncJsonWebsocketConsumer` |
| recorded-stock | the same inside of `MonitorMiddleware` and `MonitorRouter` |
| stock-acreate | the stock consumer with one `acreate` of a row for each event |
| socketio | python-socketio, `AsyncServer`, an echo |
| socketio-admin | the same with `instrument(mode="development")`, an admin reading |
"""


def table(head, rows):
    """A table; its first column holds words, the others figures."""
    rule = ["---"] + ["--:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def spread(figures, digits=0):
    """The median, and the least and the most."""
    median, least, most = (
        f"{figure:,.{digits}f}"
        for figure in (statistics.median(figures), min(figures), max(figures))
    )
    return f"{median} ({least} – {most})" if len(figures) > 1 else median


# What it was measured on -----------------------------------------------------------


def machine(rounds):
    """The machine and the versions, without a word that tells whose it is."""
    now = datetime.datetime.now(datetime.UTC)
    release = platform.release().partition("-")[0]
    rows = [
        ("date", now.strftime("%Y-%m-%d")),
        ("rounds", rounds),
        ("CPU", f"{_cpu()}, {os.cpu_count()} cores"),
        ("kernel", f"{platform.system()} {release}, {platform.machine()}"),
        ("Python", platform.python_version()),
        ("SQLite", sqlite3.sqlite_version),
        ("PostgreSQL", _postgres_version()),
        *((package, _version(package)) for package in PACKAGES),
    ]
    return "\n".join(
        ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    )


def _cpu():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _postgres_version():
    program = postgres_program("postgres")
    if program is None:
        return "not installed"
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    return done.stdout.split()[2]


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


# The parts -------------------------------------------------------------------------


def echo_section(results):
    """Throughput, cost and latency of an echo, and what was stored of it."""
    rows = [
        [
            f"{kind}, {name}",
            spread([one.rate for one in rounds]),
            spread([one.cost for one in rounds], 1),
            spread([one.p50 for one in rounds], 2),
            spread([one.p99 for one in rounds], 2),
            f"{sum(one.sent for one in rounds):,}",
            _stored(rounds),
        ]
        for (kind, name), rounds in results.items()
    ]
    head = ["server, application", "messages/s", "µs CPU/message", "p50, ms", "p99, ms"]
    return f"""\
## Echo

{echo.CLIENTS} clients send a text of {TEXT_SIZE} bytes, wait for the echo and send
again. The server has one core, the clients another one. CPU is all that the server's
process used, user and system, until the last event was in the database (SQLite, a
commit synced to the disk), less what it uses idle.

{APPLICATIONS}
{table([*head, "sent", "stored"], rows)}

{_disturbance(results)}
{_views(results)}"""


def _disturbance(results):
    others = [one.others for rounds in results.values() for one in rounds]
    return (
        f"Other processes took {statistics.median(others):.0%} of the server's core "
        f"meanwhile, and {max(others):.0%} in the worst round."
    )


def _stored(rounds):
    counts = [one.stored for one in rounds]
    return "–" if None in counts else f"{sum(counts):,}"


def _views(results):
    pairs = [
        ("socketio", "socketio-admin", "python-socketio's admin view", "nothing"),
        ("bare", "recorded-bare", "ours, bare", "every event"),
        ("stock", "recorded-stock", "ours, stock consumer", "every event"),
        ("stock", "stock-acreate", "one `acreate` for each event", "every event"),
    ]
    rows = []
    for plain, watched, name, stored in pairs:
        before = results.get(("uvicorn", plain))
        after = results.get(("uvicorn", watched))
        if before and after:
            costs = [
                two.cost - one.cost for one, two in zip(before, after, strict=True)
            ]
            rates = [
                two.rate / one.rate for one, two in zip(before, after, strict=True)
            ]
            rows.append([name, spread(costs, 1), spread(rates, 2), stored])
    head = ["on uvicorn", "µs CPU/message", "throughput, × without", "what is stored"]
    return f"\nWhat a view costs:\n\n{table(head, rows)}\n" if rows else ""


def memory_section(results):
    """Memory of an idle connection."""
    rows = [
        [f"{kind}, {name}", spread(sizes, 1)] for (kind, name), sizes in results.items()
    ]
    return f"""\
## Memory

What {memory.CONNECTIONS:,} more connections add to the resident memory of a server that
has {memory.FIRST} already. Each has exchanged one message, and then says nothing.

{table(["server, application", "kB/connection"], rows)}
"""


def drain_section(results):
    """How fast a burst is stored."""
    rows = [
        [
            name,
            spread([one.rate for one in drains]),
            spread([one.cost for one in drains], 1),
            spread([one.journal_cost for one in drains], 1),
        ]
        for name, drains in results.items()
    ]
    head = ["database", "events/s", "µs CPU to store one", "µs CPU to journal one"]
    return f"""\
## Drain

{drain.EVENTS:,} messages of one process are journalled while the database is locked.
Measured from the release of the lock until all are stored. PostgreSQL has the other
core, and does not sync its commits.

{table(head, rows)}
"""


def journeys_section(results):
    """Starts and keystrokes."""
    rows = [
        [f"{kind}, {name}", spread(seconds, 3)]
        for (kind, name), seconds in results.items()
    ]
    return f"""\
## Journeys

From `manage.py up` to the first page; from Enter in a room to the line in an open
dashboard, both in Chromium. Nothing is pinned.

{table(["server", "seconds"], rows)}
"""


def targets_section(found):
    """Targets beside what was measured."""
    rows = [
        [
            target.name,
            f"{'≤' if target.at_most else '≥'} {target.bound:,} {target.unit}".strip(),
            spread(target.figures, 0 if target.bound > 100 else 2),
            "yes" if target.met else "**no**",
        ]
        for target in found
    ]
    return f"""\
## Targets

{table(["", "target", "measured", "met"], rows)}
"""


def rooms_section(results):
    """What is said in rooms."""
    rows = [
        [
            case.name,
            f"{kind}, {name}",
            spread([talk.rate for talk in talks], 0 if case.rate == 0 else 1),
            spread([talk.cost for talk in talks], 1),
            spread([talk.p50 for talk in talks], 2),
            spread([talk.p99 for talk in talks], 2),
            _acknowledged(talks),
        ]
        for case in rooms.CASES
        for (kind, name, case_name), talks in results.items()
        if case_name == case.name
    ]
    head = ["rooms", "server, application", "messages/s", "µs CPU/delivery"]
    return f"""\
## Rooms

In each room one member says {TEXT_SIZE} bytes, and again as soon as all members have
them; in the largest at most ten times a second. CPU is all that the server's process
used until everything was stored, less what it uses idle, divided by deliveries
(messages times members). p50
and p99 are of the time until the last member has a message; "ack" is the time until a
lone sender is told that a message is stored.

{CHATS}
{table([*head, "p50, ms", "p99, ms", "ack, ms"], rows)}
"""


def _acknowledged(talks):
    waits = [talk.acknowledged for talk in talks]
    return "–" if None in waits else spread(waits, 2)


def joins_section(results):
    """What it takes to join."""
    rows = [
        [
            f"{kind}, {name}",
            spread([one.median for one in joined], 2),
            spread([one.slowest for one in joined], 1),
            spread([one.memory for one in joined], 1),
        ]
        for (kind, name), joined in results.items()
    ]
    head = ["server, application", "ms to join", "slowest, ms", "kB/member"]
    return f"""\
## Joins

{joins.ROOMS:,} rooms of one member each. Timed are the last {joins.LAST}, one after the
other, from the TCP connection to the history (the tutorial: to the end of the
handshake); medians, and the slowest of them. One round.

{table(head, rows)}
"""


def histories_section(results):
    """What a long history costs."""
    asked, (frames, before, after, rows) = results
    lines = [
        [
            f"{name}, {database}",
            spread([many for many, _ in pairs], 1),
            spread([few for _, few in pairs], 1),
            spread([many / few for many, few in pairs], 2),
        ]
        for (database, name), pairs in asked.items()
    ]
    head = ["question, database", "ms", "ms, room of 50", "ratio"]
    slow = sum(frame > 50 for frame in frames)
    return f"""\
## A long history

A room of {histories.MANY:,} messages beside one of {histories.FEW}, asked in turns on
daphne; medians of {histories.ASKED} for each round, the network of one machine and the
client included. `join` is from the TCP connection to the history, `history` a page from
the middle; a search looks for a text that every message has, one, or none.

{table(head, lines)}

Scrolling back through {histories.SCROLLED:,} messages in headless Chromium,
{histories.WHEEL:,} px in each frame: {len(frames):,} frames, the median
{statistics.median(frames):.1f} ms, the longest {max(frames):.0f} ms, {slow} longer than
50 ms. The page has {rows} rows of messages in the end; its heap went from
{before[0] / 1e6:.1f} to {after[0] / 1e6:.1f} MB, its nodes from {before[1]:,.0f} to
{after[1]:,.0f}.
"""


@dataclass
class Page:
    """One page of the documentation."""

    introduction: str
    sections: dict  # of what makes the section of each part
    targets: dict  # of what tells the targets of each part

    def text(self, results, rounds):
        """The page, of the results of each part that was measured."""
        found = [
            target
            for part, of_part in self.targets.items()
            if part in results
            for target in of_part(results[part])
        ]
        sections = [self.sections[part](result) for part, result in results.items()]
        if found:
            sections.insert(0, targets_section(found))
        return "\n".join([self.introduction, machine(rounds), "", *sections])


PAGES = {
    "benchmarks.md": Page(
        RECORDING,
        {
            "echo": echo_section,
            "memory": memory_section,
            "drain": drain_section,
            "journeys": journeys_section,
        },
        {
            "echo": targets.of_echo,
            "memory": targets.of_memory,
            "drain": targets.of_drain,
        },
    ),
    "benchmarks-chat.md": Page(
        CHAT,
        {"rooms": rooms_section, "joins": joins_section},
        {"rooms": targets.of_rooms, "joins": targets.of_joins},
    ),
    "benchmarks-histories.md": Page(
        HISTORIES,
        {"histories": histories_section},
        {"histories": targets.of_histories},
    ),
}
