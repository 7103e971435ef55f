import asyncio

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth import get_user_model
from django.test import Client

from chat import socket as chat_socket
from chat.consumers import searcher, searches_made
from chat.hub import local_hub
from chat.ledger import ledger
from chat.models import Room
from chat.reader import courier, reader
from chat.reading import marker
from project.asgi import application

from ..clock import until_no_task_is_left

HOST = "testserver"


class Socket(WebsocketCommunicator):
    """One client of the chat, as a browser would be."""

    def __init__(self, path, cookie=""):
        headers = [
            (b"host", HOST.encode()),
            (b"origin", f"http://{HOST}".encode()),
            (b"cookie", cookie.encode()),
        ]
        super().__init__(application, path, headers)
        self.scope["client"] = ["127.0.0.1", 50000]

    async def say(self, message, **more):
        await self.send_json_to({"message": message, **more})

    async def hear(self, kind="message"):
        """Return the next frame of a kind, skipping others but errors."""
        while True:
            frame = await self.receive_json_from(timeout=5)
            if frame["type"] == kind:
                return frame
            assert frame["type"] not in ("bye", "error"), frame

    async def hear_farewell(self):
        """Return the last frame before a close, skipping all others."""
        while True:
            frame = await self.receive_json_from(timeout=5)
            if frame["type"] == "bye":
                return frame

    async def hear_close(self):
        message = await self.receive_output(timeout=5)
        assert message["type"] == "websocket.close"
        assert type(message["code"]) is int  # daphne takes no IntEnum
        return message["code"]

    async def hears_nothing(self):
        """Whether no message comes; who is there may change meanwhile."""
        await asyncio.sleep(0.15)
        while not await self.receive_nothing(timeout=0.05):
            if (await self.receive_json_from())["type"] != "members":
                return False
        return True


@pytest.fixture
def make_user(transactional_db):
    def make(name, **fields):
        users = get_user_model().objects
        return users.filter(username=name).first() or users.create_user(name, **fields)

    return make


@pytest.fixture
def cookie_of(make_user):
    """Log a user in, and return the header that says so."""

    def cookie_of(name):
        client = Client()
        client.force_login(make_user(name))
        return f"sessionid={client.cookies['sessionid'].value}"

    return cookie_of


@pytest.fixture
async def connect(cookie_of):
    """Connect users to rooms, and disconnect them in the end."""
    sockets = []

    async def connect(user="ana", path="/ws/chat/"):
        cookie = await sync_to_async(cookie_of)(user) if user else ""
        socket = Socket(path, cookie)
        sockets.append(socket)
        assert (await socket.connect(timeout=5))[0]
        return socket

    yield connect
    for socket in sockets:
        if not socket.future.done():
            await socket.disconnect()


@pytest.fixture
async def join(connect):
    """Connect, and take in the history."""

    async def join(*args, **kwargs):
        socket = await connect(*args, **kwargs)
        await socket.hear("history")
        return socket

    return join


@pytest.fixture(autouse=True)
def no_rate_limit(settings):
    settings.CHAT_RATE = 100_000.0


@pytest.fixture(autouse=True)
def nothing_left_behind():
    yield
    ledger.stop()
    reader.stop()
    courier.stop()
    marker.stop()
    searcher.stop()
    chat_socket.messages_sent.full_at.clear()
    chat_socket.questions_asked.full_at.clear()
    chat_socket.frames_sent.full_at.clear()
    chat_socket.refusals.full_at.clear()
    searches_made.full_at.clear()
    assert not ledger.waiting
    assert ledger.thread is None


@pytest.fixture(autouse=True)
async def no_member_left_behind(nothing_left_behind):
    yield
    hub = local_hub()
    assert not hub.rooms
    await until_no_task_is_left()


@pytest.fixture
def lobby_with(make_user):
    """Fill the lobby with messages of ana's."""

    async def fill(count):
        author = await sync_to_async(make_user)("ana")
        lobby = await Room.objects.aget(slug="lobby")
        for number in range(1, count + 1):
            await ledger.submit(lobby.pk, author, f"message {number}")

    return fill
