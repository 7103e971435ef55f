"""Brings what is stored to those who are in the room: a tick, then a query."""

import asyncio
import weakref
from dataclasses import dataclass, field

from django.utils.translation import gettext_noop as _

from monitor import presence

from . import frames, identity, roll
from .codes import CloseCode
from .entrance import facts_of
from .errand import Errand, in_turns
from .listing import Listing
from .models import Membership, Message, Room
from .reader import courier, reader
from .reading import Reading
from .ticks import GROUP, Tick, Ticks

LOGGED_OUT = _("You are logged out; log in again.")
REMOVED = _("You are not a member of this room any more.")


@dataclass(eq=False, slots=True)
class LocalRoom:
    """The members of a room that are connected to this event loop."""

    pk: int
    slug: str
    is_open: bool  # to all users
    facts: tuple  # its name, and since when it is archived, if at all
    delivered: int  # the `rev` up to which every member has seen all
    members: set = field(default_factory=set)
    roll: str | None = None  # the last frame that said who is here

    def deliver(self, messages, since):
        """Push messages, encoded once, all that changed after the rev `since`.

        As many as fit into one pass, and how many that is. Who joined meanwhile and
        has seen less must wait for a list that starts earlier, or would miss some.
        """
        numbered_frames, size = [], 0
        for message in messages:
            frame = frames.message(message, self.slug)
            size += frames.size(frame)
            if size > Hub.PASS_SIZE and numbered_frames:
                break
            numbered_frames.append((message.rev, frame))
        for member in self.members:
            if member.seen >= since:
                member.catch_up(numbered_frames)
        # Those who leave see nothing more, and hold up nobody.
        seen = [member.seen for member in self.members if not member.leaving]
        self.delivered = min(seen, default=numbered_frames[-1][0])
        return len(numbered_frames)

    def take(self, committed, limit):
        """Deliver what was just committed, if it is what comes next.

        Return whether that was all there is to deliver; else ask the database.
        """
        by_rev = {m.rev: m for m in committed if m.rev > self.delivered}
        news = [by_rev[rev] for rev in sorted(by_rev)][:limit]
        expected = range(self.delivered + 1, self.delivered + 1 + len(news))
        if [message.rev for message in news] != list(expected):
            return False
        return not news or self.deliver(news, self.delivered) == len(by_rev)

    def present(self, recorded):
        """The names of all who are here, from what the monitor has recorded.

        Who has joined a moment ago may not be recorded yet, but is a member here.
        """
        here = {member.username for member in self.members}
        return sorted(here.union(recorded.get(self.slug, [])))

    def tell(self, facts):
        """Say what the room is called and whether it is archived, if that is news."""
        if facts != self.facts:
            self.facts = facts
            frame = frames.room(*facts)
            for member in self.members:
                member.push(frame)

    def call(self, roll):
        """Say who is here, unless that was the last thing said."""
        if roll != self.roll:
            self.roll = roll
            for member in self.members:
                member.push(roll)

    def show_typing(self, username):
        """Say that somebody writes, to all others."""
        frame = frames.typing(username)
        for member in self.members:
            if member.username != username:
                member.push(frame)

    def dismiss_all(self, code, reason):
        """Close every member's socket."""
        for member in self.members:
            member.dismiss(code, reason)

    def dismiss_removed(self, places):
        """Close the sockets of those who had one of these places."""
        for member in self.members:
            if (self.pk, member.user_id) in places:
                member.dismiss(CloseCode.NO_SUCH_ROOM, REMOVED)


class Hub:
    """All members that are connected to one event loop.

    One subscription and one query serve them all. While there are none, nothing
    runs.
    """

    POLL_INTERVAL = 2.0  # seconds; heals a lost tick
    ROLL_INTERVAL = 10.0  # seconds; a process that died sends no tick
    ROLL_PAUSE = 0.25  # seconds between two roll calls, at least
    ROLL_REST = 9  # times as long as one takes, which thousands of members make long
    PLACES_PAUSE = 0.1  # seconds between two looks at who was removed, at least
    LOGIN_INTERVAL = 15.0  # seconds; an open socket does not hear of a logout
    LOGINS_AT_ONCE = 500  # that one question is about
    HEARTBEAT_INTERVAL = 20.0  # seconds; a page that misses two reconnects
    # What one pass brings to a room, well below what may wait for a member.
    PASS = 100  # messages
    PASS_SIZE = 128 * 2**10  # bytes

    def __init__(self):
        self.rooms = {}
        self.guests = set()  # members in no room: they look at the list of rooms
        self.stale = set()
        self.listing = Listing()
        self.reading = Reading(self._tell_marks)
        self.absentees = roll.Absentees()
        self.delivery = Errand(self._deliver)
        self.place_check = Errand(self._check_places, self.PLACES_PAUSE)
        self.login_check = Errand(self._check_logins)
        self.roll_call = Errand(self._call_roll, self.ROLL_PAUSE, self.ROLL_REST)
        self.heartbeat = Errand(self._beat)
        self.ticks = Ticks([GROUP, presence.GROUP], self._on_tick)
        self.pollers = []
        self.farewell = None  # code and reason, once the server stops

    def join(self, member, seen):
        """Bring a member everything with a rev above `seen`, in order."""
        room_id = member.room.pk
        self._start()
        room = self.rooms.get(room_id)
        if room is None:
            facts = facts_of(member.room)
            is_open = member.room.kind == Room.Kind.OPEN
            room = LocalRoom(room_id, member.room.slug, is_open, facts, seen)
            self.rooms[room_id] = room
        room.members.add(member)
        member.seen = seen
        # What others got while this member read the history is asked for again; they
        # skip it.
        room.delivered = min(room.delivered, seen)
        if facts_of(member.room) != room.facts:
            member.push(frames.room(*room.facts))
        self.look([room_id])
        self._introduce(member, room)
        if not room.is_open:
            self.place_check.ask()  # may have been removed since they were let in
        if self.farewell is not None:
            member.dismiss(*self.farewell)

    def receive_guest(self, member):
        """Let somebody look at the list of rooms."""
        self._start()
        self.guests.add(member)
        self.roll_call.ask()
        if self.farewell is not None:
            member.dismiss(*self.farewell)

    def leave(self, member):
        """Forget a member, if it ever joined."""
        member.stop()
        self.listing.forget(member)
        self.guests.discard(member)
        room = member.room and self.rooms.get(member.room.pk)
        if room and member in room.members:
            room.members.remove(member)
            if not room.members:
                del self.rooms[room.pk]
        if not self.rooms and not self.guests:
            self._stop()

    def committed(self, messages):
        """Bring what was just stored to the members here, and tell the others.

        A room that has come further than that, through another process, is looked at.
        """
        by_room = {}
        for message in messages:
            if message.room_id in self.rooms:
                by_room.setdefault(message.room_id, []).append(message)
        self.look(
            room_id
            for room_id, news in by_room.items()
            if not self.rooms[room_id].take(news, self.PASS)
        )
        # Which rooms, because a look at all of them costs much where there are many.
        room_ids = {message.room_id for message in messages}
        self.listing.rooms_changed(room_ids)
        self.ticks.publish(GROUP, Tick.ROOM, room_ids)
        called = {(m.room_id, user_id) for m in messages for user_id in m.called}
        if called:
            self._tell_marks(called)

    def read(self, member, seq):
        """Note that a member has read the room's messages up to a number."""
        self.reading.read(member.room.pk, member.user_id, seq)

    def _tell_marks(self, places):
        self.listing.marks_changed(places)
        self.ticks.publish(GROUP, Tick.MARKS, places)

    def typing(self, member):
        """Tell a room, in all processes, that a member writes. It may get lost."""
        self._show_typing([(member.room.pk, member.username)])
        self.ticks.publish(GROUP, Tick.TYPING, {(member.room.pk, member.username)})

    def _show_typing(self, pairs):
        for room_id, username in pairs:
            if room := self.rooms.get(room_id):
                room.show_typing(username)

    def look(self, room_ids):
        """Look soon whether rooms have something new."""
        self.stale.update(room_id for room_id in room_ids if room_id in self.rooms)
        if self.stale:
            self.delivery.ask()

    def _introduce(self, member, room):
        if room.roll is None:
            self.roll_call.ask()
        else:
            member.push(room.roll)

    async def _deliver(self):
        stale, self.stale = self.stale, set()
        marks = [(pk, self.rooms[pk].delivered) for pk in stale if pk in self.rooms]
        news = await courier.ask(Message.objects.news, marks, self.PASS)
        for room_id, since in marks:
            if room := self.rooms.get(room_id):
                self._bring(room, news.get((room_id, since)), since)

    def _bring(self, room, news, since):
        if news is None:
            return room.dismiss_all(CloseCode.NO_SUCH_ROOM, _("This room was deleted."))
        room.tell(news.facts)
        if not (messages := news.messages):
            return
        if room.deliver(messages, since) < len(messages) or news.more:
            self.look([room.pk])

    async def _call_roll(self):
        recorded = await reader.ask(roll.present)
        rooms = list(self.rooms.values())
        if recorded is None:
            async for room in in_turns(rooms):
                room.call(frames.members(None))
            return self.listing.saw(None)
        names = {room.pk: room.present(recorded) async for room in in_turns(rooms)}
        self.listing.saw({slug: list(here) for slug, here in recorded.items()})
        here = {pk: set(of_room) for pk, of_room in names.items()}
        await self.absentees.look(here, self.listing.everybody)
        async for room in in_turns(rooms):
            idle = roll.idle(recorded.get(room.slug, {}))
            away = self.absentees.away(room.pk, here[room.pk])
            room.call(frames.members(names[room.pk], idle, away))

    async def _check_places(self):
        """Close the sockets of those who were removed from a room."""
        closed = [room for room in self.rooms.values() if not room.is_open]
        if not closed:
            return
        places = {(room.pk, m.user_id) for room in closed for m in room.members}
        # Who joins meanwhile was not asked for, and is not among them.
        removed = places.difference(await courier.ask(Membership.objects.of, places))
        for room in closed:
            room.dismiss_removed(removed)

    async def _check_logins(self):
        """Close the sockets of those who have logged out, or may not come any more."""
        identities = list({member.identity for member in self._members()} - {None})
        ended = set()
        for start in range(0, len(identities), self.LOGINS_AT_ONCE):
            some = identities[start : start + self.LOGINS_AT_ONCE]
            ended |= await reader.ask(identity.ended, some)
        for member in self._members():
            if member.identity in ended:
                member.dismiss(CloseCode.SIGNED_OUT, LOGGED_OUT)

    def _members(self):
        inside = [member for room in self.rooms.values() for member in room.members]
        return [*inside, *self.guests]

    async def say_goodbye(self, code, reason):
        """Close every member's socket, and wait until that is sent; also of those who
        join after this, as long as the server goes on."""
        self.farewell = code, reason
        for member in self._members():
            member.dismiss(code, reason)
        while writers := [
            member.writer
            for member in self._members()
            if member.writer is not None and not member.writer.done()
        ]:
            await asyncio.wait(writers)

    def _on_tick(self, kind, about):
        match kind:
            case Tick.ROOM:
                self.look(self.rooms if about is None else about)
                self.listing.rooms_changed(about or ())
            case Tick.TYPING:
                self._show_typing(about)
            case Tick.MARKS:
                self.listing.marks_changed(map(tuple, about))
            case Tick.MEMBERS:
                self.place_check.ask()
                self.listing.start_anew({user_id for _, user_id in about})
                self.absentees.invite({room_id for room_id, _ in about})
                self.roll_call.ask()
            case presence.TICK:
                self.roll_call.ask()
            case None:
                self._look_everywhere()
                self.listing.start_anew()
                self.roll_call.ask()

    def _start(self):
        """Begin to listen and to poll, with the first who comes."""
        if self.rooms or self.guests:
            return
        self.ticks.start()
        self.pollers = [
            asyncio.create_task(_every(self.POLL_INTERVAL, self._look_everywhere)),
            asyncio.create_task(_every(self.ROLL_INTERVAL, self._look_around)),
            asyncio.create_task(_every(self.HEARTBEAT_INTERVAL, self.heartbeat.ask)),
            asyncio.create_task(_every(self.LOGIN_INTERVAL, self.login_check.ask)),
        ]

    def _stop(self):
        self.ticks.stop()
        self.listing.round.cancel()
        self.delivery.cancel()
        self.place_check.cancel()
        self.roll_call.cancel()
        self.absentees = roll.Absentees()  # who goes now is not missed
        self.login_check.cancel()
        self.heartbeat.cancel()
        for poller in self.pollers:
            poller.cancel()
        self.pollers = []

    async def _beat(self):
        async for member in in_turns(self._members()):
            member.beat()

    def _look_everywhere(self):
        self.look(self.rooms)
        self.place_check.ask()

    def _look_around(self):
        self.roll_call.ask()
        self.listing.look()
        self.reading.go_on()


async def _every(interval, function):
    while True:
        await asyncio.sleep(interval)
        function()


# Tasks and futures belong to a loop, so each loop has a hub. A server has one loop.
_hubs = weakref.WeakKeyDictionary()


def local_hub():
    """Return the hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]
