"""One open socket in a room."""

import asyncio
import contextlib
import logging
from collections import deque

from . import frames
from .codes import CloseCode

logger = logging.getLogger("channelscope.chat")


class Member:
    """The way out to one client: what is pushed is sent in order, by its own task.

    Nobody who pushes waits for the client, and a client that does not take its
    frames is let go.
    """

    LIMIT = 256  # frames waiting

    def __init__(self, room, username, send):
        self.room = room
        self.username = username
        self.send = send
        self.seen = 0  # number of the last message pushed
        self.waiting = deque()
        self.writer = None
        self.leaving = False

    def push(self, frame):
        """Send a frame after those that wait."""
        if self.leaving:
            return
        if len(self.waiting) >= self.LIMIT:
            self._let_go()
        else:
            self._post({"type": "websocket.send", "text": frame})

    def catch_up(self, numbered_frames):
        """Push the messages that this member has not seen, from (seq, frame) pairs."""
        for seq, frame in numbered_frames:
            if seq > self.seen:
                self.push(frame)
                self.seen = seq

    def dismiss(self, code, reason):
        """Say why, then close."""
        self.push(frames.bye(code, reason))
        if not self.leaving:
            self.leaving = True
            self._post({"type": "websocket.close", "code": code, "reason": reason})

    def stop(self):
        """Send nothing more."""
        self.leaving = True
        self.waiting.clear()
        if self.writer is not None:
            self.writer.cancel()

    def _let_go(self):
        # The writer is stuck in `send`, so the close has to overtake it. No farewell:
        # it would get stuck, too.
        self.stop()
        self.writer = None
        reason = "Too many messages were waiting for you."
        self._post(
            {"type": "websocket.close", "code": CloseCode.TOO_SLOW, "reason": reason}
        )

    def _post(self, message):
        self.waiting.append(message)
        if self.writer is None or self.writer.done():
            self.writer = asyncio.create_task(self._write())

    async def _write(self):
        try:
            while self.waiting:
                await self.send(self.waiting.popleft())
        except OSError:
            # How servers say that the peer is gone (ASGI); its consumer hears of it
            # as a disconnect.
            self._give_up()
        except Exception:
            # Servers have ways of their own to refuse a frame. The client must not
            # sit in a room from which it hears nothing.
            logger.exception("A frame could not be sent")
            self._give_up()
            with contextlib.suppress(Exception):
                await self.send(
                    {"type": "websocket.close", "code": CloseCode.OUR_ERROR}
                )

    def _give_up(self):
        self.leaving = True
        self.waiting.clear()
