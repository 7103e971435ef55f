"""Processes under test: started on data of their own, pinned, measured, stopped."""

import contextlib
import functools
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ..server import ROOT, free_port

START_WITHIN = 30  # seconds
STOP_WITHIN = 15
STORE_WITHIN = 60
TICKS = os.sysconf("SC_CLK_TCK")


@functools.cache
def cores():
    """The core of whatever is measured, and the one of whoever measures."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        sys.exit("The benchmark needs two cores: one to measure, one to measure from.")
    return allowed[0], allowed[-1]


def pin_this_process():
    """Leave the measured core to the processes under test."""
    os.sched_setaffinity(0, {cores()[1]})


def command(*arguments):
    """A Python command that runs in this environment."""
    return [sys.executable, "-m", *arguments]


def environment(data_dir, **more):
    """The whole environment of a process that keeps its data in `data_dir`."""
    return {
        "PATH": os.environ["PATH"],
        "DATA_DIR": str(data_dir),
        "DJANGO_SETTINGS_MODULE": "tests.bench.settings",
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


@contextlib.contextmanager
def migrated_data():
    """Data that has been migrated once, to be copied by every process under test."""
    with tempfile.TemporaryDirectory(prefix="channelscope-bench-") as directory:
        data_dir = Path(directory) / "data"
        subprocess.run(
            command("django", "migrate", "--run-syncdb", "-v0"),
            cwd=ROOT,
            env=environment(data_dir),
            check=True,
        )
        yield data_dir


class Measured:
    """A running process, as the kernel's books have it."""

    def __init__(self, pid):
        self.pid = pid
        # clock_getcpuclockid(3): all threads of it, those that have ended included.
        self._clock = (~pid << 3) | 2

    def cpu(self):
        """Seconds of CPU that it has used."""
        return time.clock_gettime(self._clock)

    def memory(self):
        """kB of memory that it has resident."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError(f"no VmRSS of process {self.pid}")


def busy():
    """Seconds that the measured core was busy with anything at all."""
    name = f"cpu{cores()[0]} "
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(name):
            user, nice, system, _, _, *others = map(int, line.split()[1:9])
            return (user + nice + system + sum(others)) / TICKS
    raise AssertionError(f"no {name} in /proc/stat")


class EchoServer:
    """One application on one server, on a copy of migrated data (a context)."""

    def __init__(self, kind, name, migrated):
        self.kind = kind
        self.name = name
        self.migrated = migrated
        self.port = free_port()
        self.process = None
        self.measured = None

    def __enter__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="channelscope-bench-")
        self.data_dir = Path(self._directory.name) / "data"
        shutil.copytree(self.migrated, self.data_dir)
        with open(self.data_dir / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                command("tests.bench.serve", self.kind, self.name, str(self.port)),
                cwd=ROOT,
                env=environment(self.data_dir),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: os.sched_setaffinity(0, {cores()[0]}),
            )
        self.measured = Measured(self.process.pid)
        try:
            self._wait_until_it_listens()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info):
        try:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self._directory.cleanup()

    @property
    def log(self):
        """Everything that the server has printed."""
        return (self.data_dir / "server.log").read_text()

    def _wait_until_it_listens(self):
        deadline = time.monotonic() + START_WITHIN
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"not ready within {START_WITHIN} s: {self.log}")

    # What is stored -------------------------------------------------------------------

    @property
    def table(self):
        """The table with a row for each event; None if nothing is recorded."""
        if self.name.startswith("recorded-"):
            return "monitor_event"
        return "usual_event" if self.name == "stock-acreate" else None

    def rows(self, sql):
        """Ask the database, from outside of the server."""
        with contextlib.closing(sqlite3.connect(self._database, timeout=20)) as opened:
            return opened.execute(sql).fetchall()

    def wait_for(self, sql, wanted):
        """Wait until a question has this one answer."""
        deadline = time.monotonic() + STORE_WITHIN
        while (found := self.rows(sql)[0]) != wanted:
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{self.kind}, {self.name}: {found} instead of {wanted} after "
                    f"{STORE_WITHIN} s: {sql}\n{self.log}"
                )
            time.sleep(0.01)

    @property
    def _database(self):
        return self.data_dir / "channelscope.sqlite3"
