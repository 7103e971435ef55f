"""A database that is away delays what is recorded, and nothing else."""

import contextlib
import os
import resource
import shutil
import signal
import sqlite3
import statistics
import time

import pytest

from ..services import postgres_server
from .conftest import KINDS, LONG
from .load import Load
from .server import FaultServer, eventually

OUTAGE = 60.0 if LONG else 2.0  # seconds
SLOWEST = 0.050 if LONG else 1.0  # seconds that 99 of 100 echoes may take
BACK_WITHIN = 30.0 if LONG else 10.0  # seconds until all is stored
MEMORY_GROWTH = 24 * 2**20  # bytes
SEGMENT_SIZE = 16 * 2**10  # bytes
EVENT_SIZE = 60  # bytes of the journal for one message, at least


def on(kind):
    """In the short form, one server for each database is enough."""
    return pytest.mark.parametrize("kind", KINDS if LONG else [kind], indirect=True)


@pytest.fixture(scope="module")
def postgres():
    """A PostgreSQL server that the tests stop."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def server_on_postgres(kind, postgres, tmp_path_factory):
    """A running server that stores in `postgres`."""
    data = tmp_path_factory.mktemp(f"{kind}-postgres")
    with _server(data, kind, DATABASE_URL=postgres.url) as server:
        yield server


@pytest.fixture(scope="module")
def server_on_sqlite(kind, migrated, tmp_path_factory):
    """A running server that stores in SQLite."""
    data = tmp_path_factory.mktemp(f"{kind}-sqlite") / "data"
    with _server(shutil.copytree(migrated, data), kind) as server:
        yield server


def _server(data, kind, **environment):
    environment["MONITOR_SEGMENT_SIZE"] = str(SEGMENT_SIZE)
    environment["MONITOR_HEARTBEAT_INTERVAL"] = "1"
    return FaultServer(data, SERVER=kind, **environment)


@contextlib.contextmanager
def stopped(postgres):
    """PostgreSQL has crashed."""
    postgres.stop()
    try:
        yield
    finally:
        postgres.start()


@contextlib.contextmanager
def frozen(server):
    """PostgreSQL takes what the server asks, and does not answer."""
    backends = server.rows(
        "select pid from pg_stat_activity"
        " where backend_type = 'client backend' and pid <> pg_backend_pid()"
    )
    assert backends
    for (pid,) in backends:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for (pid,) in backends:
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def locked(server):
    """Another process writes to the SQLite file, and does not come to an end."""
    with contextlib.closing(sqlite3.connect(server.database, timeout=20)) as database:
        database.execute("begin immediate")
        yield
        database.rollback()


@contextlib.contextmanager
def full(server, limit=2 * SEGMENT_SIZE):
    """No file of the server can grow beyond so many bytes."""
    pid = server.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


@on("daphne")
def test_postgresql_that_crashes_and_returns_loses_nothing(
    server_on_postgres, postgres, path
):
    _outlast(server_on_postgres, path, stopped(postgres))


@on("daphne")
def test_postgresql_that_does_not_answer_loses_nothing(server_on_postgres, path):
    _outlast(server_on_postgres, path, frozen(server_on_postgres))


@on("uvicorn")
def test_an_sqlite_file_that_is_locked_loses_nothing(server_on_sqlite, path):
    _outlast(server_on_sqlite, path, locked(server_on_sqlite))


@on("uvicorn")
def test_an_sqlite_file_that_cannot_grow_loses_nothing(server_on_sqlite, path):
    _outlast(server_on_sqlite, path, full(server_on_sqlite))


@on("uvicorn")
def test_a_disk_that_takes_nothing_closes_no_socket_and_the_loss_is_counted(
    server_on_sqlite, path
):
    server = server_on_sqlite
    with Load(server.port, path) as load:
        eventually(lambda: len(server.stored(load.path)) >= 50)
        with full(server, limit=0):
            time.sleep(OUTAGE)
        back = len(load.sent)
        eventually(lambda: len(load.heard) >= back + 50)

    assert not load.broken
    eventually(lambda: set(load.sent[back:]) <= set(server.stored(load.path)))
    stored = server.stored(load.path)
    lost = len(load.sent) - len(stored)
    print(f"{lost} of {len(load.sent)} messages were lost")
    assert lost > 0
    assert len(stored) == len(set(stored))
    eventually(
        lambda: server.rows("select sum(dropped) from monitor_process") == [(lost,)]
    )


def _outlast(server, path, outage):
    """Talk through an outage; nobody notices, and all of it is in the database."""
    with Load(server.port, path) as load:
        eventually(lambda: len(server.stored(load.path)) >= 50)
        memory, journal = server.memory, server.journal_bytes
        begun = len(load.waits)
        with outage:
            time.sleep(OUTAGE)
            said = len(load.waits) - begun
            journal = server.journal_bytes - journal
        returned_at = time.monotonic()
        # Whoever comes back to much work must not keep the clients from theirs.
        eventually(lambda: len(load.waits) >= begun + said + 50)

    eventually(lambda: len(server.stored(load.path)) >= len(load.sent), BACK_WITHIN)
    took = time.monotonic() - returned_at
    memory = server.memory - memory
    slowest = statistics.quantiles(load.waits[begun:], n=100)[98]
    print(
        f"{said} echoes meanwhile, 99 of 100 within {slowest * 1000:.1f} ms; "
        f"journal + {journal >> 10} KiB, memory + {memory >> 10} KiB; "
        f"all stored after {took:.1f} s"
    )
    assert not load.broken
    assert slowest < SLOWEST
    assert journal > said * EVENT_SIZE
    assert memory < MEMORY_GROWTH
    assert sorted(server.stored(load.path)) == sorted(load.sent)
    health = "select sum(failures), sum(dropped), sum(set_aside) from monitor_process"
    assert server.rows(health) == [(0, 0, 0)]
