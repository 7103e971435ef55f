"""Several processes on PostgreSQL and Redis: one dies, one pauses, one is cut off, one
stops."""

import contextlib
import random
import signal
import time
from collections import Counter

import pytest

from ..proxy import Proxy
from ..rfc6455 import CLOSE, Client
from .conftest import LONG, SEED, all_back, all_started
from .invariants import wait_until_all_hold
from .load import Load
from .server import FaultServer, eventually

CONNECTIONS = 300  # idle ones, of which each process has a third
HEARTBEAT, LEASE, LOST_AFTER = (5, 15, 60) if LONG else (0.5, 1.5, 6)  # seconds
SOON = 3.0  # seconds until staff see that a process was killed; here with others' load
SHOWN = """
    select connection.path, connection.cause, process.lost
    from monitor_connection connection
    join monitor_process process on process.id = connection.process_id
    where process.pid = ? and connection.closed_at is null
"""
LIVE = """
    select connection.id from monitor_connection connection
    join monitor_process process on process.id = connection.process_id
    where connection.closed_at is null and process.stopped_at is null
    and process.seen_at > now() - interval '%s seconds' and process.pid = ?
"""
RECEIVED = """
    select connection.path, text from monitor_event event
    join monitor_connection connection on connection.id = event.connection_id
    where kind = 'receive'
"""


PATIENCE = {
    "MONITOR_HEARTBEAT_INTERVAL": str(HEARTBEAT),
    "MONITOR_LEASE": str(LEASE),
    "MONITOR_LOST_AFTER": str(LOST_AFTER),
    # Clients here read only when something is about to come, so they answer no pings.
    "PING_INTERVAL": "600",
}


@pytest.fixture(scope="module")
def network(shared_postgres):
    """What lies between the first of the processes and its database."""
    with Proxy(shared_postgres.port, SEED) as network:
        yield network


@pytest.fixture(scope="module")
def three(tmp_path_factory, outgrown, network):
    """Three processes with one database, one layer and one directory of journals."""
    data = tmp_path_factory.mktemp("processes") / "data"
    servers = [
        FaultServer(data, SERVER=kind, **outgrown, **PATIENCE)
        for kind in ("uvicorn", "daphne", "uvicorn")
    ]
    servers[0].environment |= {"DATABASE_URL": through(network, outgrown)}
    with all_started(*servers):
        yield servers


def through(network, environment):
    """The URL of the database as it is reached through a network."""
    head, _, place = environment["DATABASE_URL"].rpartition(":")
    return f"{head}:{network.port}/{place.partition('/')[2]}"


@pytest.fixture
def trio(three):
    """The same, those started again that a test has ended."""
    return all_back(three)


def live_on(server, witness=None):
    """The ids of the connections of a process that are shown as live, by `witness`."""
    rows = (witness or server).rows(LIVE % LEASE, server.process.pid)
    return {key for (key,) in rows}


def only(found):
    """What was found, if it is one; others may be on their way out."""
    return found if len(found) == 1 else None


def open_on(server, witness=None):
    """What is not closed of the connections of a process."""
    return (witness or server).rows(SHOWN, server.process.pid)


@contextlib.contextmanager
def paused(server, network):
    """The process stands still."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def cut_off(server, network):
    """Nothing gets through to its database, and nobody is told."""
    return network.black_hole()


absences = pytest.mark.parametrize("absent", [paused, cut_off])


@pytest.fixture
def crowd(trio, path):
    """Idle clients on all processes; they leave in the end."""
    clients = [
        Client(server.port, f"/echo/{path}-{number}")
        for server in trio
        for number in range(CONNECTIONS // len(trio))
    ]
    for server in trio:
        eventually(lambda: len(live_on(server)) == CONNECTIONS // len(trio))  # noqa: B023
    yield clients
    for client in clients:
        client.drop()


def test_a_process_that_is_killed_is_seen_to_be_lost_and_its_journal_is_kept(
    trio, crowd, path
):
    print(f"SEED={SEED}")
    chance = random.Random(SEED)
    dying, witness = trio[1], trio[0]
    with (
        Load(dying.port, f"{path}-a") as load,
        Load(witness.port, f"{path}-b") as other,
    ):
        eventually(lambda: len(load.heard) > 20 and len(other.heard) > 20)
        time.sleep(chance.uniform(0, 0.5))
        killed_at = time.monotonic()
        dying.kill()
        eventually(lambda: not open_on(dying), within=2 * SOON)
        print(f"seen to be lost after {time.monotonic() - killed_at:.2f} s")

    causes = Counter(one.cause for one in dying.connections(f"/echo/{path}-%"))
    assert causes["process"] == CONNECTIONS // 3 + 8
    assert not other.broken
    for talk in (load, other):
        eventually(lambda: set(talk.heard) <= set(witness.stored(talk.path)))  # noqa: B023
    wait_until_all_hold(witness.rows)
    copies = Counter(witness.rows(RECEIVED))
    assert max(copies.values()) == 1


@absences
def test_a_process_that_is_not_heard_of_is_unknown_and_live_again_with_the_same_ids(
    trio, crowd, path, network, absent
):
    missing, witness = trio[0], trio[2]
    before = live_on(missing, witness)
    with absent(missing, network):
        eventually(lambda: not live_on(missing, witness), within=LEASE + 5)
        assert len(open_on(missing, witness)) == len(before)
        assert not [c for c in witness.connections(f"/echo/{path}-%") if c.closed]

    eventually(lambda: live_on(missing, witness) == before, within=10)
    assert len(live_on(witness)) == CONNECTIONS // 3


@absences
def test_a_process_that_is_not_heard_of_for_too_long_is_lost_and_goes_on_in_new_rows(
    trio, path, network, absent
):
    missing, witness, path = trio[0], trio[2], f"/echo/{path}"
    client = Client(missing.port, path, timeout=LOST_AFTER + 20)
    client.send("before")
    client.receive()
    [before] = eventually(lambda: only(live_on(missing, witness)))
    with absent(missing, network):
        if absent is cut_off:
            # It still serves, and records in its journal.
            client.send("meanwhile")
            assert client.receive().text == "meanwhile"
        [lost] = eventually(
            lambda: [c for c in witness.connections(path) if c.closed],
            within=LOST_AFTER + 15,
        )
    assert (lost.cause, lost.ends) == ("process", 0)
    assert lost.detail.startswith("inferred")

    [after] = eventually(lambda: only(live_on(missing, witness)), within=10)
    client.send("after")
    assert client.receive().text == "after"
    client.close()

    assert after != before
    rows = eventually(lambda: _all_closed(witness.connections(path), 2))
    ends = {(row.cause, row.begins, row.ends) for row in rows}
    assert ends == {("process", 1, 0), ("client", 1, 1)}
    said = {"before", "after"} | ({"meanwhile"} if absent is cut_off else set())
    eventually(lambda: set(witness.stored(path)) == said)
    wait_until_all_hold(witness.rows)
    assert len(witness.stored(path)) == len(said)


def _all_closed(found, count):
    return found if [one.closed for one in found] == [True] * count else None


def test_a_process_that_dies_on_another_host_is_lost_later_and_its_journal_is_kept(
    trio, path, network, tmp_path
):
    witness, path = trio[2], f"/echo/{path}"
    # Its journal and its lock are where nobody else looks.
    environment = {**trio[0].environment, "SERVER": "daphne"}
    del environment["PORT"], environment["DATA_DIR"]
    away = FaultServer(tmp_path / "away", **environment)
    with away, Client(away.port, path) as client:
        client.send("stored")
        client.receive()
        eventually(lambda: witness.stored(path) == ["stored"])
        with network.black_hole():
            client.send("in the journal")
            client.receive()
            away.kill()
            killed_at = time.monotonic()

        eventually(lambda: not live_on(away, witness), within=LEASE + 5)
        assert not [one for one in witness.connections(path) if one.closed]
        [lost] = eventually(
            lambda: [one for one in witness.connections(path) if one.closed],
            within=LOST_AFTER + 15,
        )
        print(f"lost after {time.monotonic() - killed_at:.1f} s")
        assert time.monotonic() - killed_at > LOST_AFTER - HEARTBEAT
        assert (lost.cause, lost.begins, lost.ends) == ("process", 1, 0)
        assert lost.detail.startswith("inferred")

        away.start()
        said = ["in the journal", "stored"]
        eventually(lambda: sorted(witness.stored(path)) == said)
        assert witness.connections(path) == [lost]
        wait_until_all_hold(witness.rows)


def test_a_stop_tells_every_client_to_come_back_at_a_bounded_rate(trio, crowd, path):
    stopping = trio[2]
    mine = crowd[-CONNECTIONS // 3 :]
    deaf = Client(stopping.port, "/echo/deaf", buffer=4096)
    for _ in range(20):
        deaf.send("x" * 60_000)  # and never reads the echo

    began_at = time.monotonic()
    stopping.process.send_signal(signal.SIGTERM)
    ends = [client.end() for client in mine]
    assert stopping.process.wait(15) is not None
    took = time.monotonic() - began_at

    print(f"{len(mine)} clients and a deaf one: stopped after {took:.1f} s")
    assert took < 10.5
    assert [end.code if end else None for end in ends] == [4012] * len(mine)
    assert {end.opcode for end in ends} == {CLOSE}
    eventually(lambda: not open_on(stopping))
    closed = stopping.connections(f"/echo/{path}-%")
    assert Counter(c.cause for c in closed if c.closed) == {"server": len(mine)}
    deaf.drop()
