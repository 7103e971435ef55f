"""What a chat's page does while processes come and go, without a browser."""

import asyncio
import contextlib
import itertools
import json
import uuid

import websockets

SOON = 0.2  # seconds, at most, until it comes back
REFUSED_FOR = 0.5  # seconds until it asks again for what cannot be done just now


class Page:
    """Comes back, asks for what it has missed, says again what was not acknowledged.

    `doors` are functions that open a websocket; it goes from one to the next, and takes
    up to `soon` seconds for that. One user's pages share the limits of a user, so
    many of them must not come at once. `chance` is a `random.Random`.
    """

    def __init__(self, doors, chance, soon=SOON):
        self.doors = doors
        self.chance = chance
        self.soon = soon
        self.seen = {}  # texts by seq
        self.rev = None  # of the last change up to which it has seen all
        self.unacked = {}  # texts by client_id
        self.acked = {}  # seqs by client_id
        self.codes = []  # with which it was closed
        self.socket = None
        self._heard = 0  # the highest rev of a live message
        self._has_all = False  # that came before it connected

    def is_on(self, server):
        """Whether it is connected to a process."""
        return bool(self.socket) and self.socket.remote_address[1] == server.port

    async def run(self):
        """Stay connected, to whichever process is there."""
        for door in itertools.cycle(self.doors):
            with contextlib.suppress(OSError, websockets.InvalidHandshake):
                async with door() as self.socket:
                    await self._listen()
            if self.socket is not None and self.socket.close_code:
                self.codes.append(self.socket.close_code)
            self.socket = None
            await asyncio.sleep(self.chance.uniform(0, self.soon))

    async def say(self, text):
        """Write a message, now or when it is connected."""
        client_id = str(uuid.uuid4())
        self.unacked[client_id] = text
        await self._post(client_id)

    async def _listen(self):
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in self.socket:
                await self._hear(json.loads(text))

    async def _hear(self, frame):
        match frame["type"]:
            case "history":
                if self.rev is None:
                    self.rev, self._has_all = frame["rev"], True
                else:
                    self._has_all = False
                    await self._resume()
                for client_id in list(self.unacked):
                    await self._post(client_id)
            case "resumed":
                for message in frame["messages"]:
                    self._note(message["seq"], message["text"])
                self.rev = max(self.rev, frame["rev"])
                if frame["more"]:
                    await self._resume()
                else:
                    self.rev, self._has_all = max(self.rev, self._heard), True
            case "message":
                self._note(frame["seq"], frame["message"])
                self._heard = max(self._heard, frame["rev"])
                if self._has_all:  # else its rev says nothing of those before it
                    self.rev = max(self.rev, frame["rev"])
            case "ack":
                self.acked[frame["client_id"]] = frame["seq"]
                self.unacked.pop(frame["client_id"], None)
            case "error":  # many come back at once and are one user, for example
                await asyncio.sleep(frame.get("retry_after", REFUSED_FOR))
                if client_id := frame.get("client_id"):
                    await self._post(client_id)
                else:
                    await self._resume()

    async def _post(self, client_id):
        text = self.unacked.get(client_id)
        if text is not None:
            await self._send({"message": text, "client_id": client_id})

    async def _resume(self):
        await self._send({"type": "resume", "after": self.rev})

    async def _send(self, content):
        # A socket that has ended: it comes back, and does all of this again.
        with contextlib.suppress(websockets.ConnectionClosed, AttributeError):
            await self.socket.send(json.dumps(content))

    def _note(self, seq, text):
        assert self.seen.setdefault(seq, text) == text
