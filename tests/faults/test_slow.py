"""Members of a room who read nothing: they are let go, and nobody else notices."""

import contextlib
import json
import os
import selectors
import shutil
import statistics
import threading
import time
from pathlib import Path

import pytest

from ..rfc6455 import Client, close_frame, frame
from ..server import Server
from .conftest import LONG
from .server import eventually

STUCK = 100 if LONG else 25
TEXT = "🙂" * 4000  # 16 kB in a frame
BROADCAST = (50 if LONG else 6) * 2**20  # bytes to each member
BUFFER = 8 * 2**10  # bytes that the kernel of a client takes; the server's, 4 MiB
# Bytes of memory, at most; without a bound it would be half as much again.
GROWTH = (60 if LONG else 32) * 2**20


@pytest.fixture
def chat_server(kind, migrated, tmp_path):
    with Server(
        shutil.copytree(migrated, tmp_path / "data"),
        SERVER=kind,
        CHAT_RATE="100000",
        CHAT_MAX_CONNECTIONS="1000",
    ) as server:
        yield server


class Readers:
    """Members who read all that comes, and do nothing with it."""

    def __init__(self, clients):
        self.selector = selectors.DefaultSelector()
        self.leaving = threading.Event()
        self.thread = threading.Thread(target=self.read)
        for client in clients:
            self.selector.register(client.socket, selectors.EVENT_READ)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *exc_info):
        self.leaving.set()
        self.thread.join()
        self.selector.close()

    def read(self):
        while not self.leaving.is_set():
            for key, _ in self.selector.select(0.1):
                key.fileobj.recv(2**20)


def join(server, user, count, **options):
    """Connect members to the lobby, and let each read what it is told at first."""
    headers = {"cookie": server.cookie(user), "origin": server.url}
    clients = []
    for _ in range(count):
        clients.append(Client(server.port, "/ws/chat/", **options, **headers))
        assert clients[-1].status == 101
        assert json.loads(clients[-1].receive().text)["type"] == "history"
    return clients


def broadcast(talker, size, each=lambda: None):
    """Say something so often that each member is sent `size` bytes; the seconds that
    each message took until the talker had it."""
    waits = []
    for _ in range(round(size / len(TEXT.encode()))):
        began_at = time.monotonic()
        talker.send(f'{{"message": "{TEXT}"}}')
        while json.loads(talker.receive().text)["type"] != "message":
            pass
        waits.append(time.monotonic() - began_at)
        each()
    return waits


def memory(server):
    """Resident bytes of the server."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def p99(waits):
    return statistics.quantiles(waits, n=100, method="inclusive")[98]


def test_members_who_read_nothing_are_let_go_and_cost_next_to_nothing(
    chat_server,
):
    server = chat_server
    with contextlib.ExitStack() as stack:
        [talker] = join(server, "ana", 1)
        alone = sockets(server)
        readers = join(server, "bruno", STUCK)
        with Readers(readers):
            usual = p99(broadcast(talker, BROADCAST // 4))
        for reader in readers:
            reader.drop()
        stuck = join(server, "vera", STUCK, buffer=BUFFER)
        for client in [talker, *stuck]:
            stack.callback(client.drop)
        before, sizes = memory(server), []

        waits = broadcast(talker, BROADCAST, lambda: sizes.append(memory(server)))

        grown = max(sizes) - before
        print(
            f"grown by {grown / 2**20:.1f} MiB; p99 {1000 * p99(waits):.1f} ms, and "
            f"{1000 * usual:.1f} with as many who read"
        )
        assert grown < GROWTH
        least = 0.1 if LONG else 0.5  # seconds; the machine is shared
        assert p99(waits) < max(3 * usual, least)
        slow = "SELECT count(*) FROM monitor_connection WHERE close_code = 4008"
        eventually(lambda: server.rows(slow) == [(STUCK,)])
        # The sockets are gone, too: nothing waits for what they would have read.
        eventually(lambda: sockets(server) < alone + STUCK / 2)


@pytest.mark.parametrize("last", [b"", close_frame()], ids=["silent", "closing"])
def test_whoever_reads_no_echo_is_gone_soon(server, connect, path, last):
    before = sockets(server)
    client = connect(f"/echo/{path}", buffer=BUFFER, timeout=1)

    with contextlib.suppress(TimeoutError):
        for _ in range(50):
            client.write(frame("x" * 2 * 10**5))
        client.write(last)

    # The pings are not answered, or the close is not waited for.
    connection = server.closed(f"/echo/{path}")
    assert connection.cause in ("lost", "client")
    assert (connection.begins, connection.ends) == (1, 1)
    eventually(lambda: sockets(server) <= before)


def sockets(server):
    """How many sockets the server has open."""
    opened = Path(f"/proc/{server.process.pid}/fd").iterdir()
    return sum(link_of(path).startswith("socket:") for path in opened)


def link_of(path):
    try:
        return os.readlink(path)
    except FileNotFoundError:  # closed meanwhile
        return ""
