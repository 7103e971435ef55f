"""Processes under test: started on data of their own, pinned and measured."""

import contextlib
import functools
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ..server import ROOT

TICKS = os.sysconf("SC_CLK_TCK")


@functools.cache
def cores():
    """The core of whatever is measured, and the one of whoever measures."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        sys.exit("The benchmark needs two cores: one to measure, one to measure from.")
    return allowed[0], allowed[-1]


@contextlib.contextmanager
def pinned():
    """Leave the measured core to the processes under test, for a while."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[1]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_file_limit(needed):
    """Allow so many open files, here and in the processes that are started."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < needed:
        sys.exit(f"The benchmark needs {needed} open files; the limit is {hard}.")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def start(arguments, data_dir, more=None, **pipes):
    """Start a Python module on the measured core."""
    return subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        env=environment(data_dir, **(more or {})),
        preexec_fn=lambda: os.sched_setaffinity(0, {cores()[0]}),
        **pipes,
    )


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


def migrate(data_dir, more=None):
    """Make the tables, the benchmark's own included."""
    subprocess.run(
        command("django", "migrate", "--run-syncdb", "-v0"),
        cwd=ROOT,
        env=environment(data_dir, **(more or {})),
        check=True,
    )


@contextlib.contextmanager
def temporary_data():
    """A directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="channelscope-bench-") as directory:
        yield Path(directory) / "data"


@contextlib.contextmanager
def migrated_data():
    """Data that has been migrated once, to be copied by every process under test."""
    with temporary_data() as data_dir:
        migrate(data_dir)
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


def cpu_of_family(pid):
    """Seconds of CPU that a process and its children have used, those that have ended
    included."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile, and is its parent's to count
            continue
        user, system, childrens_user, childrens_system = map(int, fields[11:15])
        if int(stat.parent.name) == pid:
            ticks += user + system + childrens_user + childrens_system
        elif int(fields[1]) == pid:
            ticks += user + system
    return ticks / TICKS


def busy():
    """Seconds that the measured core was busy with anything at all."""
    name = f"cpu{cores()[0]} "
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(name):
            user, nice, system, _, _, *others = map(int, line.split()[1:9])
            return (user + nice + system + sum(others)) / TICKS
    raise AssertionError(f"no {name} in /proc/stat")
