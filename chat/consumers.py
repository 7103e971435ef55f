"""The chat's websockets: from a client's frame to the ledger, the hub and back."""

import contextlib
import time

from django.conf import settings
from django.db import Error
from django.utils.translation import gettext as _

from . import frames
from .entrance import entrances
from .hub import REMOVED, local_hub
from .incoming import (
    Refused,
    after_of,
    before_of,
    client_id_of,
    place_of,
    query_of,
    rev_of,
    seq_of,
    text_of,
)
from .ledger import Archived, Busy, NotAMember, NotYours, ledger
from .models import PAGE, Membership, Message, Room
from .rate import RateLimit
from .reader import Reader, reader
from .socket import ChatSocket, messages_sent

SEARCH_RATE = 2.0  # a second for each user; each may look at every message of a room
searches_made = RateLimit()
# Of its own: who joins or listens must not wait for those who search.
searcher = Reader("chat-search")
TYPING_PAUSE = 2.0  # seconds between two signs that somebody writes; clients take 3


def page_of_news(marks):
    """What clients have missed, by the room's id and the rev that they have."""
    return Message.objects.news(marks, PAGE)


def places_of(places):
    """Those of (room id, user id) pairs that there are, as a dict."""
    return Membership.objects.of(places)


@contextlib.contextmanager
def telling_why():
    """Say in the words of the protocol why the ledger did not take something."""
    try:
        yield
    except Archived:
        detail = _("This room is archived; nobody can write here.")
        raise Refused("archived", detail) from None
    except NotAMember:
        raise Room.DoesNotExist(REMOVED) from None
    except NotYours:
        raise Refused("not-yours", _("This is not your message.")) from None
    except Message.DoesNotExist:
        raise Refused("no-such-message", _("This message is gone.")) from None
    except Busy:
        raise Refused("busy", _("Too many messages wait; send it again.")) from None
    except Error:
        raise Refused("not-stored", _("Not stored; send it again.")) from None


class ChatConsumer(ChatSocket):
    """A logged-in user in a room."""

    types = (
        *("message", "edit", "delete", "history", "resume", "search", "seen", "read"),
        *("typing", "active"),
    )
    typed_at = -TYPING_PAUSE

    async def join(self):
        slug = self.scope["url_route"]["kwargs"]["slug"]
        entrance = await reader.ask_together(entrances, slug)
        if entrance is None or not await self.may_enter(entrance.room):
            raise Room.DoesNotExist

        await self.accept()
        self.let_in(entrance.room)
        self.member.push(entrance.frame)
        local_hub().join(self.member, seen=entrance.seen)

    async def may_enter(self, room):
        if room.kind == Room.Kind.OPEN:
            return True
        place = room.pk, self.scope["user"].pk
        return await reader.ask_together(places_of, place)

    async def check_place(self):
        """Tell nothing to who was removed a moment ago."""
        if not await self.may_enter(self.member.room):
            raise Room.DoesNotExist(REMOVED)

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
            case "search":
                await self.search(content)
            case "resume":
                await self.resume(content)
            case "seen":
                self.member.acknowledge(rev_of(content))
            case "typing":
                self.tell_typing()
            case "read":
                local_hub().read(self.member, seq_of(content))
            case "active":
                pass  # the monitor has heard it: somebody sits there
            case _:
                await super().handle(content)

    async def post(self, text, client_id):
        self.take_turn(messages_sent, settings.CHAT_RATE)
        self.typed_at = -TYPING_PAUSE  # what is written from now on is something new
        room, author = self.member.room, self.scope["user"]
        with telling_why():
            stored = await ledger.submit(room.pk, author, text, client_id)
        if stored.room_id != room.pk:
            detail = _(
                "This client_id belongs to a message in another room; take a new."
            )
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
        """Show a page before a number, after it, or around it."""
        where, seq = place_of(content)
        self.count_question()
        await self.check_place()
        room, page = self.member.room, getattr(Message.objects, where)
        messages, *rest = await reader.ask(page, room.pk, seq, PAGE)
        self.answer(frames.page(messages, room.slug, where, seq, *rest))

    async def search(self, content):
        """Show the newest messages with a text in them, of those before a number."""
        text, before = query_of(content), before_of(content)
        self.count_question()
        self.take_turn(searches_made, SEARCH_RATE)
        await self.check_place()
        room, ask = self.member.room, Message.objects.containing
        messages, rest = await searcher.ask(ask, room.pk, text, before, PAGE)
        self.answer(frames.found(messages, rest, room.slug, text))

    async def resume(self, content):
        """Say what changed while the client was away, a page at a time."""
        after = after_of(content)
        self.count_question()
        await self.check_place()
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


class RoomsConsumer(ChatSocket):
    """A logged-in user who looks at the list of rooms, and is in none of them."""

    types = ()

    async def join(self):
        await self.accept()
        self.let_in()
        local_hub().receive_guest(self.member)
