"""One process after the other is restarted, and nobody misses a word."""

import asyncio
import contextlib
import itertools
import json
import signal

import psycopg
import pytest
import websockets

from ..clock import until
from ..server import Server
from .conftest import LONG, all_started

CLIENTS = 1000 if LONG else 120
INTERVAL = 0.05  # seconds between two messages
USERS = ["ana", "bruno", "vera", "olga"]
RESTARTS = 4012
BACK_WITHIN = 60.0  # seconds


class Page:
    """What a chat's page does: it comes back, and asks for what it has missed."""

    def __init__(self, servers, number):
        self.ring = itertools.cycle(servers[number % 3 :] + servers[: number % 3])
        self.user = USERS[number % len(USERS)]
        self.seen = {}  # texts by seq
        self.rev = None
        self.codes = []  # with which it was closed
        self.socket = None

    def is_on(self, server):
        """Whether it is connected to a process."""
        return bool(self.socket) and self.socket.remote_address[1] == server.port

    async def run(self):
        """Stay connected, to whichever process is there."""
        for server in self.ring:
            with contextlib.suppress(OSError, websockets.InvalidHandshake):
                async with server.connect("/ws/chat/", self.user) as self.socket:
                    await self.listen()
            if self.socket is not None and self.socket.close_code:
                self.codes.append(self.socket.close_code)
            self.socket = None
            await asyncio.sleep(0.1)

    async def listen(self):
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in self.socket:
                await self.hear(json.loads(text))

    async def hear(self, frame):
        match frame["type"]:
            case "history" if self.rev is None:
                self.rev = frame["rev"]
            case "history":
                await self.resume()
            case "resumed":
                for message in frame["messages"]:
                    self.note(message["seq"], message["text"], message["rev"])
                if frame["more"]:
                    await self.resume()
            case "error":  # many come back at once, and are one user
                await asyncio.sleep(frame["retry_after"])
                await self.resume()
            case "message":
                # Its rev only counts when all before it are there.
                self.note(frame["seq"], frame["message"], self.rev)

    async def resume(self):
        await self.socket.send(json.dumps({"type": "resume", "after": self.rev}))

    def note(self, seq, text, rev):
        assert self.seen.setdefault(seq, text) == text
        self.rev = max(self.rev, rev)


@pytest.fixture
def trio(tmp_path, outgrown):
    """Three processes of the site, where the users have logged in."""
    outgrown["CHAT_MAX_CONNECTIONS"] = "10000"
    kinds = ("uvicorn", "daphne", "uvicorn")
    servers = [Server(tmp_path / "data", SERVER=kind, **outgrown) for kind in kinds]
    with all_started(*servers):
        for user in USERS:
            servers[0].cookie(user)
        yield servers


async def test_a_rolling_restart_loses_no_client_and_no_message(trio):
    pages = [Page(trio, number) for number in range(CLIENTS)]
    tasks = [asyncio.create_task(page.run()) for page in pages]
    await until(lambda: all(page.rev is not None for page in pages), BACK_WITHIN)

    async def talk():
        said = itertools.count()
        while True:
            socket = pages[0].socket
            with contextlib.suppress(websockets.ConnectionClosed, AttributeError):
                await socket.send(json.dumps({"message": f"message {next(said)}"}))
            await asyncio.sleep(INTERVAL)

    talking = asyncio.create_task(talk())
    for server in trio:
        before = [len(page.codes) for page in pages]
        mine = [page for page in pages if page.is_on(server)]
        assert mine
        assert await asyncio.to_thread(server.stop, signal.SIGTERM) == 0
        await asyncio.to_thread(server.start)
        await until(lambda: all(page.socket for page in pages), BACK_WITHIN)
        codes = [p.codes[n:] for p, n in zip(pages, before, strict=True)]
        assert [some for some in codes if some] == [[RESTARTS]] * len(mine)

    talking.cancel()

    async def all_have_all():
        stored = await asyncio.to_thread(_stored, trio[0])  # the last may be on its way
        return len(stored) > 20 and all(page.seen == stored for page in pages)

    await until(all_have_all, BACK_WITHIN)
    print(f"{len(pages[0].seen)} messages, {CLIENTS} clients")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, talking, return_exceptions=True)


def _stored(server):
    with psycopg.connect(server.environment["DATABASE_URL"]) as database:
        return dict(database.execute("select seq, text from chat_message").fetchall())
