"""What is shown as live is what the kernel holds open, after whatever happened."""

import asyncio
import contextlib
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..clock import until
from ..rfc6455 import Client
from ..server import Server
from .conftest import KINDS, LONG, SEED
from .invariants import CALM_WITHIN, kernels_view, shown, wait_until_all_hold
from .server import FaultServer, eventually

CLIENTS = 2000 if LONG else 150
# Long enough for the chat's heartbeats and the server's pings.
IDLE, REST = (1000, 60) if LONG else (60, 8)  # members, and seconds
PRESENCE = 3  # seconds until nothing is told any more of who has come
WRITTEN = "select sum(n_tup_ins + n_tup_upd + n_tup_del) from pg_stat_user_tables"
OPENED = 20_000 if LONG else 500
POOL = 10  # connections to PostgreSQL of one process, at most: project/settings.py


def test_after_all_kinds_of_ends_the_dashboard_shows_what_the_kernel_has(server, path):
    print(f"SEED={SEED}")
    chance = random.Random(SEED)
    clients = [Client(server.port, f"/echo/{path}") for _ in range(CLIENTS)]
    ends = [Client.close, Client.reset, Client.drop, Client.half_close]
    for client in clients:
        # Of thousands, the first have been given up before the last had come.
        with contextlib.suppress(OSError):
            client.send("hola")
            if chance.random() < 0.8:
                chance.choice(ends)(client)

    # The others answer no pings from now on, as if they had vanished: in the end
    # nobody is left, and at any time of calm both views are the same.
    rows, pid = server.rows, server.process.pid
    eventually(lambda: shown(rows, pid) == kernels_view(server.port), CALM_WITHIN)
    eventually(lambda: not shown(rows, pid), CALM_WITHIN)
    assert not kernels_view(server.port)
    for client in clients:
        client.drop()
    causes = {one.cause for one in server.connections(f"/echo/{path}")}
    assert causes == {"client", "lost"}
    wait_until_all_hold(rows)


def test_connections_to_postgresql_do_not_grow_with_those_of_clients(
    kind, outgrown, tmp_path, path
):
    with (
        FaultServer(tmp_path / "data", SERVER=kind, **outgrown) as server,
        ThreadPoolExecutor(20) as crowd,
    ):

        def come_and_go(number):
            with Client(server.port, f"/echo/{path}") as client:
                client.send("hola")
                assert client.receive().text == "hola"
                client.close()

        list(crowd.map(come_and_go, range(OPENED)))

        used = "select count(*) from pg_stat_activity where pid <> pg_backend_pid()"
        [(count,)] = server.rows(used + " and datname = current_database()")
        print(f"{count} connections to PostgreSQL after {OPENED} of clients")
        assert 0 < count <= POOL
        opened = "select count(*) from monitor_connection where path = ?"
        eventually(lambda: server.rows(opened, f"/echo/{path}") == [(OPENED,)], 30)


@pytest.mark.parametrize("kind", KINDS if LONG else ["uvicorn"], indirect=True)
async def test_idle_members_change_at_most_a_row_a_second(kind, outgrown, tmp_path):
    roomy = {"CHAT_MAX_CONNECTIONS": str(IDLE)}
    with Server(tmp_path / "data", SERVER=kind, **outgrown, **roomy) as server:

        def written():
            [(count,)] = server.rows(WRITTEN)
            return count

        async with contextlib.AsyncExitStack() as stack:
            for _ in range(IDLE):
                member = server.connect("/ws/chat/", "ana", max_queue=None)
                await stack.enter_async_context(member)
            stored = "select count(*) from monitor_connection where accepted_at is null"
            await until(lambda: server.rows(stored) == [(0,)])
            await asyncio.sleep(PRESENCE)

            before = written()
            await asyncio.sleep(REST)
            rows = written() - before

        print(f"{rows} rows written in {REST} s with {IDLE} members")
        assert 0 < rows <= REST
