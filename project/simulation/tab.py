"""A page that shows a room, in the browser of somebody who does not exist."""

import asyncio
import contextlib
import json
import uuid

import websockets

from .backoff import pause
from .site import CLOSE_WITHIN

FAILURES = (OSError, TimeoutError, websockets.WebSocketException)
GOING_AWAY = 1001  # what browsers say when a page is closed
ANSWER_WITHIN = 15.0  # seconds
TYPING_INTERVAL = 3.0  # seconds between two signs of it
# Codes of errors after which the same may be sent again.
MOMENTARY = ("rate", "busy", "not-stored", "unavailable")
LOST = {"type": "error", "code": "not-stored"}  # for who waited when a connection broke


class Gone(Exception):
    """The page is closed, and does not come back by itself."""


class NotTaken(Exception):
    """The server refuses for good what was sent; the text is the error's code."""


class Tab:
    """A websocket that comes back by itself, as `docs/protocol.md` says.

    `on_message(tab, frame)` is called for each live message, and `on_end(tab, code)`
    when the server has closed for good.
    """

    def __init__(self, person, slug, on_message, on_end):
        self.person = person
        self.slug = slug
        self.on_message = on_message
        self.on_end = on_end
        self.random = person.random
        self.socket = None
        self.joined = asyncio.Event()  # or ended
        self.farewell = {}
        self.answers = {}  # what is waited for: by client_id, or seq
        self.failures = 0  # in a row
        self.ended = False
        self.task = asyncio.create_task(self._stay())

    async def post(self, text):
        """Say something; return its number. Gone, NotTaken."""
        client_id = str(uuid.uuid4())
        frame = {"message": text, "client_id": client_id}
        return (await self._ask(client_id, frame))["seq"]

    async def edit(self, seq, text):
        await self._ask(seq, {"type": "edit", "seq": seq, "message": text})

    async def delete(self, seq):
        await self._ask(seq, {"type": "delete", "seq": seq})

    async def type(self, seconds):
        """Be seen to write for a while."""
        while seconds > 0:
            await self._send({"type": "typing"})
            await asyncio.sleep(min(seconds, TYPING_INTERVAL))
            seconds -= TYPING_INTERVAL

    async def _ask(self, key, frame):
        """Send until it is answered; all of these are safe to repeat."""
        while True:
            answer = self.answers[key] = asyncio.get_running_loop().create_future()
            try:
                await self._send(frame)
                async with asyncio.timeout(ANSWER_WITHIN):
                    content = await answer
            except TimeoutError:
                continue
            finally:
                self.answers.pop(key, None)
            if content.get("type") != "error":
                return content
            if content["code"] not in MOMENTARY:
                raise NotTaken(content["code"])
            wait = content.get("retry_after", 1.0)
            await asyncio.sleep(wait + self.random.random())

    async def _send(self, frame):
        await self.joined.wait()
        if self.ended:
            raise Gone
        # What a lost connection swallows is sent again, or does not matter.
        with contextlib.suppress(websockets.ConnectionClosed):
            await self.socket.send(json.dumps(frame))

    async def _stay(self):
        try:
            while True:
                code = await self._visit()
                retry_after = self.farewell.get("retry_after")
                wait = pause(code, retry_after, self.failures, self.random)
                if wait is None:
                    break
                self.failures += 1
                await asyncio.sleep(wait)
        finally:
            self.ended = True
            self.joined.set()
        self.on_end(self, code)

    async def _visit(self):
        """Connect and listen, until that ends; return the close code, if any."""
        self.socket, self.farewell = None, {}
        path = f"/ws/chat/{self.slug}/"
        connecting = self.person.site.connect(path, self.person.key)
        opening = asyncio.ensure_future(connecting)
        try:
            try:
                self.socket = await asyncio.shield(opening)
                async for text in self.socket:
                    self._hear(json.loads(text))
            finally:
                await self._take_leave(opening)
        except FAILURES:
            pass
        finally:
            self.joined.clear()
            for key in self.answers:
                self._settle(key, LOST)
        code = self.socket and self.socket.close_code
        return self.farewell.get("code", code)

    async def _take_leave(self, opening):
        """Close, also what is only about to open: half a handshake, cut off, would look
        like a connection that was lost."""
        with contextlib.suppress(*FAILURES):
            async with asyncio.timeout(CLOSE_WITHIN):
                socket = await opening
            await socket.close(GOING_AWAY)

    def _hear(self, frame):
        match frame["type"]:
            case "history":
                self.failures = 0
                self.joined.set()
            case "message":
                self.on_message(self, frame)
            case "ack":
                self._settle(frame["client_id"], frame)
            case "done":
                self._settle(frame["seq"], frame)
            case "error":
                self._settle(frame.get("client_id") or frame.get("seq"), frame)
            case "bye":
                self.farewell = frame

    def _settle(self, key, frame):
        answer = self.answers.get(key)
        if answer is not None and not answer.done():
            answer.set_result(frame)
