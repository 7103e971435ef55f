"""The chat's websocket: from a client's frame to the ledger, the hub and back."""

import contextlib
import logging
import math
import time

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.db import Error

from monitor.middleware import note_refusal
from monitor.scope import describe, session_expiries, session_key

from . import frames
from .caps import Caps
from .codes import CloseCode
from .entrance import entrances
from .hub import local_hub
from .identity import identity_of
from .incoming import (
    Refused,
    after_of,
    before_of,
    client_id_of,
    decode,
    rev_of,
    seq_of,
    text_of,
)
from .ledger import Archived, Busy, NotYours, ledger
from .member import Member
from .models import PAGE, Message, Room
from .rate import RateLimit
from .reader import reader

logger = logging.getLogger("channelscope.chat")

QUESTION_RATE = 20.0  # pages of history and the like, a second for each user
TYPING_PAUSE = 2.0  # seconds between two signs that somebody writes; clients take 3
FRAME_RATE = 100.0  # frames of any kind, a second for each user
messages_sent = RateLimit()
questions_asked = RateLimit()
frames_sent = RateLimit()
refusals = RateLimit()  # of those three: who does not listen to them is let go
caps = Caps()
COME_BACK = 60.0  # seconds until a client that was one too many may try again


def page_of_news(marks):
    """What clients have missed, by the room's id and the rev that they have."""
    return Message.objects.news(marks, PAGE)


def frame_rate():
    """How many frames a second a user may send: room for acknowledgements, however
    many messages are allowed."""
    return max(FRAME_RATE, 4 * settings.CHAT_RATE)


@contextlib.contextmanager
def telling_why():
    """Say in the words of the protocol why the ledger did not take something."""
    try:
        yield
    except Archived:
        detail = "This room is archived; nobody can write here."
        raise Refused("archived", detail) from None
    except NotYours:
        raise Refused("not-yours", "This is not your message.") from None
    except Message.DoesNotExist:
        raise Refused("no-such-message", "This message is gone.") from None
    except Busy:
        raise Refused("busy", "Too many messages wait; send it again.") from None
    except Error:
        raise Refused("not-stored", "Not stored; send it again.") from None


class ChatConsumer(AsyncWebsocketConsumer):
    """A logged-in user in a room."""

    member = None
    counted = None  # the user and the host, once they are counted
    typed_at = -TYPING_PAUSE
    monitor_control_frames = frozenset({"seen", "typing"})  # counted, not kept
    monitor_heartbeat = frames.HEARTBEAT  # not even counted

    async def __call__(self, scope, receive, send):
        """Serve one connection.

        Without a channel of its own, which the hub makes needless, and without the
        hop to Django's one database thread that Channels makes for every message.
        """
        self.scope = scope
        self.base_send = send
        try:
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            pass
        finally:
            # `disconnect()` is not called when a server stops or a send fails.
            if self.counted:
                caps.give_back(*self.counted)
            if self.member is not None:
                local_hub().leave(self.member)

    async def dispatch(self, message):
        match message["type"]:
            case "websocket.connect":
                await self.connect()
            case "websocket.receive":
                await self.receive(message.get("text"))
            case "websocket.disconnect":
                raise StopConsumer

    async def connect(self):
        if not self.scope["user"].is_authenticated:
            note_refusal(self.scope, "anonymous")
            await self.refuse(CloseCode.SIGNED_OUT, "Log in to chat.")
            return
        if too_many := self.count():
            note_refusal(self.scope, "too many connections")
            await self.refuse(CloseCode.TOO_FAST, too_many, COME_BACK)
            return
        try:
            await self.join()
        except Room.DoesNotExist:
            note_refusal(self.scope, "no such room")
            await self.refuse(CloseCode.NO_SUCH_ROOM, "There is no such room.")
        except Error:
            logger.exception("A member could not join")
            await self.refuse(CloseCode.OUR_ERROR, "The chat cannot be read just now.")

    async def join(self):
        slug = self.scope["url_route"]["kwargs"]["slug"]
        entrance = await reader.ask_together(entrances, slug)
        if entrance is None:
            raise Room.DoesNotExist

        await self.accept()
        username, identity = self.scope["user"].get_username(), identity_of(self.scope)
        self.member = Member(entrance.room, username, self.base_send, identity)
        self.member.push(entrance.frame)
        local_hub().join(self.member, seen=entrance.seen)

    def count(self):
        """Count this socket; return why not, if there are too many."""
        host, _ = self.scope.get("client") or (None, None)
        counted = self.scope["user"].pk, host
        if too_many := caps.take(*counted):
            return too_many
        self.counted = counted
        return None

    async def refuse(self, code, reason, retry_after=None):
        await self.accept()
        await self.send(frames.bye(code, reason, retry_after))
        await self.close(code, reason)

    async def receive(self, text):
        if self.member is None or self.member.leaving:
            return
        content = {}
        try:
            try:
                content = decode(text)
            finally:
                # After decoding, so that the error can name its message; and also of
                # what could not be decoded.
                self.take_turn(frames_sent, frame_rate())
            await self.handle(content)
        except Refused as refused:
            self.answer(frames.error(refused, content))
        except Room.DoesNotExist:
            self.member.dismiss(CloseCode.NO_SUCH_ROOM, "This room was deleted.")
        except Error:
            logger.exception("A member could not be answered")
            refused = Refused("unavailable", "Not just now; ask again soon.")
            self.answer(frames.error(refused, content))

    async def handle(self, content):
        match content.get("type", "message"):
            case "message":
                await self.post(text_of(content), client_id_of(content))
            case "edit":
                await self.change(seq_of(content), text_of(content))
            case "delete":
                await self.change(seq_of(content), None)
            case "history":
                await self.show_history(content)
            case "resume":
                await self.resume(content)
            case "seen":
                self.member.acknowledge(rev_of(content))
            case "typing":
                self.tell_typing()
            case "whoami":
                await self.show_connection()
            case _:
                types = "message, edit, delete, history, resume, seen, typing and "
                types += "whoami"
                raise Refused("unknown-type", f"Types are {types}.")

    async def post(self, text, client_id):
        self.take_turn(messages_sent, settings.CHAT_RATE)
        self.typed_at = -TYPING_PAUSE  # what is written from now on is something new
        room, author = self.member.room, self.scope["user"]
        with telling_why():
            stored = await ledger.submit(room.pk, author, text, client_id)
        if stored.room_id != room.pk:
            detail = "This client_id belongs to a message in another room; take a new."
            raise Refused("client-id-used", detail)
        if client_id is not None:
            self.answer(frames.ack(stored))

    async def change(self, seq, text):
        """Give one's message another text; without a text, delete it."""
        self.take_turn(messages_sent, settings.CHAT_RATE)
        room, user = self.member.room, self.scope["user"]
        with telling_why():
            if text is None:
                message = await ledger.delete(room.pk, user, seq)
            else:
                message = await ledger.edit(room.pk, user, seq, text)
        self.answer(frames.done(message))

    async def show_history(self, content):
        before = before_of(content)
        self.take_turn(questions_asked, QUESTION_RATE)
        room = self.member.room
        messages, more = await reader.ask(Message.objects.history, room.pk, before)
        self.answer(frames.history(messages, more, room.slug))

    async def resume(self, content):
        """Say what changed while the client was away, a page at a time."""
        after = after_of(content)
        self.take_turn(questions_asked, QUESTION_RATE)
        room = self.member.room
        news = await reader.ask_together(page_of_news, (room.pk, after))
        if news is None:
            raise Room.DoesNotExist
        # A database that was restored may never have come as far as the client.
        after = min(after, news.last_rev)
        self.answer(frames.resumed(news.messages, news.more, room.slug, after))

    def tell_typing(self):
        """Tell the others; what comes too soon after the last time is left out."""
        now = time.monotonic()
        if now - self.typed_at >= TYPING_PAUSE:
            self.typed_at = now
            local_hub().typing(self.member)

    async def show_connection(self):
        self.take_turn(questions_asked, QUESTION_RATE)
        facts = describe(self.scope)
        key = session_key(self.scope)
        if "session" in facts:
            ends = await reader.ask(session_expiries, self.scope["session"], [key])
            facts["session"]["expires_at"] = ends.get(key)
        self.answer(frames.whoami(facts))

    def take_turn(self, limit, rate):
        """Refuse what comes too often from this user, on all their sockets together."""
        user = self.scope["user"].pk
        if not (wait := limit.take(user, rate)):
            return
        retry_after = math.ceil(wait * 1000) / 1000  # seconds
        advice = f"Too fast; try again in {math.ceil(wait * 10) / 10:.1f} s."
        if refusals.take(user, rate):
            self.member.dismiss(CloseCode.TOO_FAST, advice, retry_after)
        raise Refused("rate", advice, retry_after)

    def answer(self, frame):
        self.member.push(frame)

    @staticmethod
    def monitor_farewell(code, reason):
        """The last frame before the monitor closes the connection."""
        return frames.bye(code, reason)

    @staticmethod
    def monitor_notice(text):
        """What staff tell the users of a connection."""
        return frames.notice(text)
