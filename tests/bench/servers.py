"""A server under test, and what it has stored."""

import contextlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

from ..server import free_port
from . import processes

START_WITHIN = 30  # seconds
STOP_WITHIN = 15
STORE_WITHIN = 60


@contextlib.contextmanager
def running(kind, name, migrated, **settings):
    """Run one application on one server, on a copy of migrated data.

    `settings` are for its environment.
    """
    with processes.temporary_data() as data_dir:
        shutil.copytree(migrated, data_dir)
        server = ServerUnderTest(kind, name, data_dir, settings)
        server.start()
        try:
            server.wait_until_it_listens()
            yield server
        finally:
            server.stop()


class ServerUnderTest:
    """One application on one server."""

    def __init__(self, kind, name, data_dir, settings):
        self.kind = kind
        self.name = name
        self.data_dir = data_dir
        self.settings = settings
        self.port = free_port()
        self.process = None
        self.measured = None

    def start(self):
        """Start the process, without waiting for it to answer."""
        arguments = ["tests.bench.serve", self.kind, self.name, str(self.port)]
        with open(self.data_dir / "server.log", "ab") as log:
            pipes = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self.process = processes.start(
                arguments, self.data_dir, self.settings, **pipes
            )
        self.measured = processes.Measured(self.process.pid)

    def wait_until_it_listens(self):
        """Return once a client can connect."""
        deadline = time.monotonic() + START_WITHIN
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"not ready within {START_WITHIN} s: {self.log}")

    def stop(self):
        """Ask the server to stop, and see that it does."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    @property
    def log(self):
        """Everything that the server has printed."""
        return (self.data_dir / "server.log").read_text()

    # What is stored -------------------------------------------------------------------

    @property
    def table(self):
        """The table with a row for each event; None if nothing is stored."""
        if self.name.startswith("recorded-"):
            return "monitor_event"
        return "usual_event" if self.name == "stock-acreate" else None

    def row(self, sql):
        """Ask the database, from outside of the server."""
        path = self.data_dir / "channelscope.sqlite3"
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as database:
            return database.execute(sql).fetchone()

    def wait_for_events(self, **wanted):
        """Wait until so many events of each kind are stored, where events are."""
        if self.table:
            columns = ", ".join(f"count(*) FILTER (WHERE kind = '{k}')" for k in wanted)
            self.wait_for(f"SELECT {columns} FROM {self.table}", tuple(wanted.values()))

    def wait_for(self, sql, wanted):
        """Wait until a question has this one answer. AssertionError if it never has."""
        deadline = time.monotonic() + STORE_WITHIN
        while (found := self.row(sql)) != wanted:
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{self.kind}, {self.name}: {found} instead of {wanted} after "
                    f"{STORE_WITHIN} s: {sql}\n{self.log}"
                )
            time.sleep(0.01)
