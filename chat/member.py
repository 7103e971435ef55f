"""One open socket in a room."""

import contextlib
import logging
from collections import deque

from django.conf import settings

from . import eager, frames
from .codes import CloseCode
from .language import in_language

logger = logging.getLogger("channelscope.chat")


class Member:
    """The way out to one client: what is pushed is sent in order, by its own task.

    Nobody who pushes waits for the client, and a client that does not take its
    frames is let go. What a server takes it may only have put into a buffer, so a
    client that acknowledges what it has seen is held to that.
    """

    __slots__ = (
        *("room", "username", "send", "seen", "unseen", "unseen_size", "waiting"),
        *("size", "writer", "leaving", "taken", "taken_before", "identity"),
        *("user_id", "language"),
    )

    LIMIT = 256  # frames waiting
    SIZE_LIMIT = 256 * 2**10  # bytes of them

    def __init__(
        self, room, username, send, identity=None, user_id=None, language=None
    ):
        self.room = room  # None: it looks at the list of rooms
        self.user_id = user_id
        self.language = language  # None: that of the site
        self.identity = identity  # the login that lets it be here; None: another way
        self.username = username
        self.send = send
        self.seen = 0  # rev of the last change pushed
        # Revs and sizes of the changes that the client has not acknowledged; None if
        # it does not acknowledge any.
        self.unseen = None
        self.unseen_size = 0  # bytes
        # Of messages and their sizes. Nearly always empty, and an empty deque has 760
        # bytes.
        self.waiting = []
        self.size = 0  # bytes waiting
        self.writer = None
        self.leaving = False
        self.taken = 0  # frames that the server took
        self.taken_before = 0  # at the last beat

    def push(self, frame):
        """Send a frame after those that wait."""
        if self.leaving:
            return
        size = frames.size(frame)
        if len(self.waiting) >= self.LIMIT or self.size + size > self.SIZE_LIMIT:
            self._let_go()
        else:
            self._post({"type": "websocket.send", "text": frame}, size)

    def beat(self):
        """Say that the connection lives; let a client go that has taken nothing since
        the last time."""
        if self.waiting and self.taken == self.taken_before:
            self._let_go()
        self.taken_before = self.taken
        self.push(frames.HEARTBEAT)

    def acknowledge(self, rev):
        """Hear up to which rev the client has seen all, and that it tells so."""
        if self.unseen is None:
            self.unseen = deque()
        while self.unseen and self.unseen[0][0] <= rev:
            self.unseen_size -= self.unseen.popleft()[1]

    def catch_up(self, numbered_frames):
        """Push the changes that this member has not seen, from (rev, frame) pairs."""
        for rev, frame in numbered_frames:
            if rev > self.seen and not self.leaving:
                self.push(frame)
                self.seen = rev
                if self.unseen is not None and not self.leaving:
                    self._expect(rev, frame)

    def dismiss(self, code, reason, retry_after=None):
        """Say why, and when to come back if at all, then close."""
        reason = in_language(self.language or settings.LANGUAGE_CODE, reason)
        self.push(frames.bye(code, reason, retry_after))
        if not self.leaving:
            self.leaving = True
            self._post({"type": "websocket.close", "code": code, "reason": reason})

    def stop(self):
        """Send nothing more."""
        self.leaving = True
        self._forget()
        if self.writer is not None:
            self.writer.cancel()

    def _expect(self, rev, frame):
        size = frames.size(frame)
        self.unseen.append((rev, size))
        self.unseen_size += size
        if len(self.unseen) > self.LIMIT or self.unseen_size > self.SIZE_LIMIT:
            self._let_go()

    def _let_go(self):
        # The writer is stuck in `send`, so the close has to overtake it. No farewell:
        # it would get stuck, too.
        self.stop()
        self.writer = None
        reason = "Too many messages were waiting for you."
        self._post(
            {"type": "websocket.close", "code": CloseCode.TOO_SLOW, "reason": reason}
        )

    def _post(self, message, size=0):
        self.waiting.append((message, size))
        self.size += size
        if self.writer is None or self.writer.done():
            self.writer = eager.start(self._write())

    async def _write(self):
        try:
            while self.waiting:
                message, size = self.waiting.pop(0)
                self.size -= size
                await self.send(message)
                self.taken += 1
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

    def _forget(self):
        self.waiting.clear()
        self.size = 0

    def _give_up(self):
        self.leaving = True
        self._forget()
