"""A logged-in user's socket, whatever they do with it: who comes in, and how fast."""

import logging
import math

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.db import Error
from django.utils import translation
from django.utils.translation import gettext as _

from monitor.middleware import note_refusal
from monitor.scope import describe, session_expiries, session_key

from . import frames
from .caps import Caps
from .codes import CloseCode
from .hub import local_hub
from .identity import identity_of
from .incoming import Refused, decode
from .language import in_language, language_of
from .member import Member
from .models import Room
from .rate import RateLimit
from .reader import reader

logger = logging.getLogger("channelscope.chat")

QUESTION_RATE = 20.0  # pages of history and the like, a second for each user
FRAME_RATE = 100.0  # frames of any kind, a second for each user
messages_sent = RateLimit()
questions_asked = RateLimit()
frames_sent = RateLimit()
refusals = RateLimit()  # of those three: who does not listen to them is let go
caps = Caps()
COME_BACK = 60.0  # seconds until a client that was one too many may try again


def frame_rate():
    """How many frames a second a user may send: room for acknowledgements, however
    many messages are allowed."""
    return max(FRAME_RATE, 4 * settings.CHAT_RATE)


class ChatSocket(AsyncWebsocketConsumer):
    """What the chat's consumers have in common.

    They say in `join()` how somebody comes in, and in `handle(content)` what a frame
    of theirs does.
    """

    member = None
    counted = None  # the user and the host, once they are counted
    monitor_control_frames = frozenset(  # counted, not kept
        {"seen", "typing", "read", "active", "rooms"}
    )
    monitor_automatic_frames = frozenset(  # an open page sends them by itself
        {"seen", "read", "resume", "rooms", "whoami"}
    )
    monitor_heartbeat = frames.HEARTBEAT  # not even counted

    async def __call__(self, scope, receive, send):
        """Serve one connection.

        Without a channel of its own, which the hub makes needless, and without the
        hop to Django's one database thread that Channels makes for every message.
        """
        self.scope = scope
        self.base_send = send
        self.language = language_of(scope)
        translation.activate(self.language)  # in the context of this connection
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
            await self.refuse(CloseCode.SIGNED_OUT, _("Log in to chat."))
            return
        if too_many := self.count():
            note_refusal(self.scope, "too many connections")
            await self.refuse(CloseCode.TOO_FAST, too_many, COME_BACK)
            return
        try:
            await self.join()
        except Room.DoesNotExist:
            note_refusal(self.scope, "no such room")
            await self.refuse(CloseCode.NO_SUCH_ROOM, _("There is no such room."))
        except Error:
            logger.exception("A member could not join")
            await self.refuse(
                CloseCode.OUR_ERROR, _("The chat cannot be read just now.")
            )

    def let_in(self, room=None):
        """Make the `Member` that stands for this socket."""
        user = self.scope["user"]
        identity = identity_of(self.scope)
        self.member = Member(
            *(room, user.get_username(), self.base_send, identity, user.pk),
            language=self.language,
        )

    def count(self):
        """Count this socket; return why not, if there are too many."""
        host, _port = self.scope.get("client") or (None, None)
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
        except Room.DoesNotExist as gone:
            reason = str(gone) or _("This room was deleted.")
            self.member.dismiss(CloseCode.NO_SUCH_ROOM, reason)
        except Error:
            logger.exception("A member could not be answered")
            refused = Refused("unavailable", _("Not just now; ask again soon."))
            self.answer(frames.error(refused, content))

    async def handle(self, content):
        """Do what a frame asks for that every consumer of the chat understands."""
        match content.get("type"):
            case "rooms":
                self.count_question()
                local_hub().listing.show(self.member)
            case "whoami":
                await self.show_connection()
            case _:
                types = f"{', '.join((*self.types, 'rooms'))} and whoami"
                raise Refused("unknown-type", _("Types are %s.") % types)

    async def show_connection(self):
        self.count_question()
        facts = describe(self.scope)
        key = session_key(self.scope)
        if "session" in facts:
            ends = await reader.ask(session_expiries, self.scope["session"], [key])
            facts["session"]["expires_at"] = ends.get(key)
        self.answer(frames.whoami(facts))

    def count_question(self):
        """Refuse a question to the database that comes too soon."""
        self.take_turn(questions_asked, QUESTION_RATE)

    def take_turn(self, limit, rate):
        """Refuse what comes too often from this user, on all their sockets together."""
        user = self.scope["user"].pk
        if not (wait := limit.take(user, rate)):
            return
        retry_after = math.ceil(wait * 1000) / 1000  # seconds
        advice = _("Too fast; try again in %.1f s.") % (math.ceil(wait * 10) / 10)
        if refusals.take(user, rate):
            self.member.dismiss(CloseCode.TOO_FAST, advice, retry_after)
        raise Refused("rate", advice, retry_after)

    def answer(self, frame):
        self.member.push(frame)

    @staticmethod
    def monitor_farewell(code, reason, scope):
        """The last frame before the monitor closes the connection."""
        return frames.bye(code, in_language(language_of(scope), reason))

    @staticmethod
    def monitor_notice(text):
        """What staff tell the users of a connection."""
        return frames.notice(text)
