"""Clients that vanish: no FIN, no RST, and behind a cable that is cut not even an
acknowledgement. With the pings of the product; `test_truth.py` has the short form."""

import contextlib
import ctypes
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..proxy import Proxy
from ..rfc6455 import Client, frame
from .conftest import LONG
from .invariants import holdings, kernels_view, wait_until_all_hold
from .server import FaultServer, eventually

pytestmark = pytest.mark.skipif(not LONG, reason="takes half a minute each")

LOST_WITHIN = 30.0  # seconds
BUFFER = 8 * 2**10  # bytes that the kernel of a client takes
HERE, THERE = "10.203.117.1", "10.203.117.2"
OTHER = "channelscope-test"  # the other network
CLONE_NEWNET = 0x40000000  # setns(2)


@pytest.fixture
def reachable_server(kind, migrated, tmp_path):
    """A server that is reached from the other network, too."""
    data = shutil.copytree(migrated, tmp_path / "data")
    with FaultServer(data, SERVER=kind, HOST="0.0.0.0") as server:
        yield server


class Cable:
    """Leads to a network of its own, and can be cut."""

    def __enter__(self):
        self._ip("netns", "add", OTHER)
        ends = ("cscope0", "type", "veth", "peer", "name", "cscope1", "netns", OTHER)
        self._ip("link", "add", *ends)
        self._ip("address", "add", f"{HERE}/30", "dev", "cscope0")
        self._ip("link", "set", "cscope0", "up")
        self._ip("-n", OTHER, "address", "add", f"{THERE}/30", "dev", "cscope1")
        self._ip("-n", OTHER, "link", "set", "cscope1", "up")
        return self

    def __exit__(self, *exc_info):
        self._ip("link", "delete", "cscope0")
        self._ip("netns", "delete", OTHER)

    def connect(self, port, path, **options):
        """Connect a client from the other end."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self._connect, port, path, options).result()

    def cut(self):
        """Take the other end out."""
        self._ip("-n", OTHER, "link", "set", "cscope1", "down")

    def _connect(self, port, path, options):
        # This thread moves; its socket stays there.
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{OTHER}") as network:
            if libc.setns(network.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        return Client(port, path, at=HERE, **options)

    def _ip(self, *arguments):
        subprocess.run(["ip", *arguments], check=True)


def greet(connect, port, path):
    """Two clients: one idle, and one that has not read all that was sent to it."""
    idle = connect(port, f"{path}-idle")
    unread = connect(port, f"{path}-unread", buffer=BUFFER, timeout=1)
    for client in (idle, unread):
        client.send("hola")
        assert client.receive().text == "hola"
    with contextlib.suppress(TimeoutError):
        for _ in range(50):
            unread.write(frame("x" * 2 * 10**5))
    return [idle, unread]


def vanish(server, path, connect, port, leave):
    """Have clients vanish by `leave()`, and see that nothing is left of them."""
    with Client(server.port, f"{path}-first") as first:
        first.close()  # what a process opens with its first connection is there
    server.closed(f"{path}-first")
    before = holdings(server.process.pid)
    clients = greet(connect, port, path)
    leave()
    gone_at = time.monotonic()
    for name in ("idle", "unread"):

        def is_lost():
            [row] = server.connections(f"{path}-{name}")  # noqa: B023
            return row.closed and row

        left = gone_at + LOST_WITHIN - time.monotonic()
        row = eventually(is_lost, within=left)
        print(f"{name}: lost within {time.monotonic() - gone_at:.1f} s")
        assert row.cause == "lost"
    eventually(lambda: holdings(server.process.pid).files <= before.files)
    assert not kernels_view(server.port)
    wait_until_all_hold(server.rows)
    for client in clients:
        client.drop()


def test_a_client_behind_a_black_hole_is_lost_within_half_a_minute(own_server, path):
    server = own_server.start()
    with Proxy(server.port) as network, contextlib.ExitStack() as stack:

        def swallow():
            stack.enter_context(network.black_hole())

        vanish(server, f"/echo/{path}", Client, network.port, swallow)


@pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("ip"), reason="needs root and iproute2"
)
def test_a_client_behind_a_cable_that_is_cut_is_lost_within_half_a_minute(
    reachable_server, path
):
    server = reachable_server
    with Cable() as cable:
        vanish(server, f"/echo/{path}", cable.connect, server.port, cable.cut)
