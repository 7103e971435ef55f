"""Users and networks that are kept out, and told so."""

import json
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.urls import path
from django.utils import timezone

from monitor.middleware import MonitorMiddleware
from monitor.models import Block, Connection
from monitor.processes.commands import announce
from monitor.processes.local import local_process
from monitor.recording.rules import Blocking

from ..clock import until
from .conftest import ECHO, Echo, only_connection, recorded, stored
from .test_commands import Polite


@pytest.fixture
def block():
    """Block somebody, and wait until this process knows."""

    async def block(kind, value, seconds=300):
        ends_at = seconds and timezone.now() + timedelta(seconds=seconds)
        await Block.objects.acreate(
            kind=kind, value=value, reason="too loud", ends_at=ends_at or None
        )
        process = local_process()
        process.start()
        process.wake()
        await sync_to_async(announce)()
        await until(lambda: process.rules.blocks)

    return block


async def test_a_blocked_user_is_told_for_how_long_and_never_reaches_the_consumer(
    open_socket, block, user_of, headers_of
):
    class Unreached(Polite):
        async def connect(self):
            raise AssertionError

    ana = await user_of("ana")
    await block(Block.Kind.USER, "ana")

    app = recorded(path("p/", Unreached.as_asgi()))
    socket = await open_socket(app, "/p/", await headers_of(ana))

    assert socket.accepted
    bye = json.loads((await socket.receive_output())["text"])
    close = await socket.receive_output()
    assert bye["code"] == close["code"] == 4403
    assert close["reason"] == bye["farewell"] == "Blocked for another 5 min: too loud"
    await stored()
    connection = await Connection.objects.aget()
    assert (connection.cause, connection.close_code) == ("reject", 4403)
    assert connection.detail == "blocked: too loud"


async def test_others_are_not_kept_out(open_socket, block, user_of, headers_of):
    bruno = await user_of("bruno")
    await block(Block.Kind.USER, "ana")

    socket = await open_socket(headers=await headers_of(bruno))

    await socket.send_to(text_data="hola")
    assert await socket.receive_from() == "hola"


@pytest.mark.parametrize(
    ("network", "host", "kept_out"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.0/24", "192.0.2.200", True),
        ("192.0.2.0/24", "192.0.3.1", False),
        ("192.0.2.0/24", "::ffff:192.0.2.9", True),
        ("2001:db8::/32", "2001:db8::5", True),
        ("2001:db8::/32", "192.0.2.7", False),
        ("192.0.2.0/24", "no address", False),
    ],
)
def test_a_network_keeps_out_its_addresses(network, host, kept_out):
    block = Blocking(Block.Kind.NETWORK, network, "", None)

    assert block.fits("ana", host) is kept_out


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(59, "59 s"), (297, "5 min"), (7200, "2 h"), (86400 * 3 - 60, "3 d")],
)
def test_the_time_that_remains_is_told_in_words(seconds, words):
    block = Blocking(Block.Kind.USER, "ana", "why", seconds * 10**6)

    assert block.sentence(now=0) == f"Blocked for another {words}: why"


async def test_without_a_monitor_router_the_connection_is_closed_as_it_is_accepted(
    transactional_db, block
):
    await block(Block.Kind.NETWORK, "192.0.2.7", seconds=None)
    app = MonitorMiddleware(URLRouter([ECHO]))
    socket = WebsocketCommunicator(app, "/echo/here/")
    socket.scope["client"] = ["192.0.2.7", 52024]

    await socket.connect()

    close = await socket.receive_output()
    assert (close["code"], close["reason"]) == (4403, "Blocked: too loud")
    await socket.disconnect()
    assert (await only_connection()).cause == "reject"


async def test_a_block_that_is_over_or_lifted_keeps_nobody_out(open_socket, block):
    await block(Block.Kind.NETWORK, "192.0.2.7")
    await Block.objects.aupdate(lifted_at=timezone.now())
    local_process().wake()
    await until(lambda: not local_process().rules.blocks)

    socket = await open_socket()

    await socket.send_to(text_data="hola")
    assert await socket.receive_from() == "hola"


async def test_who_slipped_in_is_closed_a_little_later(open_socket, block, monkeypatch):
    monkeypatch.setattr("monitor.processes.commands.SLIPPED_IN_AFTER", 0.05)
    socket = await open_socket(recorded(path("e/", Echo.as_asgi())), "/e/")

    await block(Block.Kind.NETWORK, "192.0.2.7")

    assert (await socket.receive_output(timeout=5))["code"] == 4403
    await stored()
    assert (await Connection.objects.aget()).cause == "staff"


async def test_who_came_in_after_a_block_was_made_is_closed_as_soon_as_it_is_known(
    open_socket,
):
    other = await open_socket(client=["198.51.100.1", 52024])
    await stored()
    network = Block.Kind.NETWORK
    await Block.objects.acreate(kind=network, value="192.0.2.7", reason="too loud")
    socket = await open_socket()

    local_process().wake()

    assert (await socket.receive_output(timeout=5))["code"] == 4403
    assert other.output_queue.empty()
