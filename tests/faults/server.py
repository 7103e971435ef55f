"""The server under test: started, asked, measured and killed."""

import sqlite3
import subprocess
import sys
import time
from typing import NamedTuple

import psycopg

from ..server import ROOT, Server

CONNECTIONS = """
    select cause, close_code, detail, closed_at is not null,
        (select count(*) from monitor_event event
            where connection_id = connection.id and kind = 'connect'),
        (select count(*) from monitor_event event
            where connection_id = connection.id
            and kind in ('disconnect', 'reject', 'error'))
    from monitor_connection connection
"""
MESSAGES = """
    select text from monitor_event event join monitor_connection connection
    on connection.id = event.connection_id
    where kind = 'receive' and connection.path like ?
"""


class Recorded(NamedTuple):
    """What the database has of one connection."""

    cause: str
    code: int | None
    detail: str
    closed: bool
    begins: int  # events
    ends: int  # events


class FaultServer(Server):
    """`tests.faults.serve` as a process of its own."""

    def spawn(self):
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.serve"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    @property
    def running(self):
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    @property
    def memory(self):
        """Resident bytes of the process."""
        with open(f"/proc/{self.process.pid}/status") as status:
            line = next(line for line in status if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    @property
    def journal_bytes(self):
        """Bytes of everything in the journal's directory."""
        total = 0
        for path in (self.data_dir / "monitor-journal").rglob("*"):
            try:
                total += path.stat().st_size
            except FileNotFoundError:  # stored meanwhile
                continue
        return total

    def connections(self, path="%"):
        """What is recorded of the connections to a path, or of all of them."""
        rows = self.rows(f"{CONNECTIONS} where path like ?", path)
        return [Recorded(*row) for row in rows]

    def closed(self, path):
        """What is recorded of the one connection to a path, once it is closed."""
        [connection] = eventually(
            lambda: [one for one in self.connections(path) if one.closed]
        )
        return connection

    def stored(self, path):
        """The texts of the messages from a path that are in the database."""
        try:
            return [text for (text,) in self.rows(MESSAGES, path)]
        except (psycopg.OperationalError, sqlite3.OperationalError):
            return []  # the database is away


def eventually(condition, within=10):
    """Wait until `condition()` is true, and return what it returned.

    For facts that another process is bringing about, and that nothing announces.
    """
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not true within {within} s"
        time.sleep(0.01)
    return value
