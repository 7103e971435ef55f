"""The lists of rooms of all who look at one, kept true: a tick, then a query."""

import heapq
import math
import time
from collections import defaultdict
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

from django.contrib.auth import get_user_model
from django.db.models import Count, Exists, OuterRef, Q

from . import frames
from .errand import Errand, in_turns
from .models import Membership, Mention, Room
from .reader import reader

LISTED = 100  # rooms in one list, the liveliest
TOGETHER = 500  # users that are asked for in one query


class Entry(NamedTuple):
    """A room in a list, the same for all who see it."""

    pk: int
    slug: str
    name: str
    kind: str
    archived_at: object
    last_seq: int
    last_author: str | None
    last_text: str | None
    last_at: object
    members: dict  # names of users by id; of a room that is open to all, none

    def name_for(self, user):
        """What a user calls it: a direct one by the other's name."""
        others = [name for pk, name in self.members.items() if pk != user.pk]
        return others[0] if self.kind == Room.Kind.DIRECT and others else self.name


class Mark(NamedTuple):
    """How a user stands to a room."""

    read_seq: int | None = None  # None: they have not been there
    mentions: int = 0  # not read yet


NEVER = Mark()  # have they been there, or were called


def entries(wanted):
    """Return the `Entry` of each room of a queryset, by id. Two queries."""
    names = Entry._fields[:-1]
    rows = list(wanted.with_last_message().values_list(*names))
    closed = [row[0] for row in rows if row[names.index("kind")] != Room.Kind.OPEN]
    members = defaultdict(dict)
    if closed:
        found = Membership.objects.filter(room__in=closed).select_related("user")
        for membership in found.only("room_id", "user__username"):
            name = membership.user.get_username()
            members[membership.room_id][membership.user_id] = name
    return {row[0]: Entry(*row, members.get(row[0], {})) for row in rows}


def lists(user_ids):
    """Return the list of each user: `{user id: [(Entry, Mark)]}`, the liveliest first.

    A handful of queries, however many users.
    """
    not_archived = Room.objects.filter(archived_at=None)
    theirs = not_archived.exclude(kind=Room.Kind.OPEN)
    theirs = theirs.filter(memberships__user__in=user_ids)
    open_to_all = entries(Room.objects.filter(pk__in=open_and_listed()))
    closed = by_member(entries(theirs.distinct()).values())
    found = {}
    for user_id in user_ids:
        rooms = [*open_to_all.values(), *closed[user_id]]
        rooms.sort(key=liveliness)
        found[user_id] = rooms[:LISTED]
    marks = marks_of({entry.pk for rooms in found.values() for entry in rooms}, found)
    return {
        user_id: [(entry, marks.get((entry.pk, user_id), NEVER)) for entry in rooms]
        for user_id, rooms in found.items()
    }


def by_member(found):
    """Return what is not open of some entries, by the ids of users who are members."""
    theirs = defaultdict(list)
    for entry in found:
        for user_id in entry.members:
            theirs[user_id].append(entry)
    return theirs


def open_and_listed():
    """Return the ids of the rooms in the list of whoever is in no others."""
    rooms = Room.objects.filter(archived_at=None, kind=Room.Kind.OPEN)
    liveliest = rooms.with_last_message().liveliest_first()
    return set(liveliest.values_list("pk", flat=True)[:LISTED])


def in_lists(wanted):
    """Return the `Entry` of each room of a queryset that may be in lists, or was.

    What leaves all lists comes first, then what was said last. Three queries.
    """
    found = sorted(entries(wanted).values(), key=liveliness)
    listed = open_and_listed()
    leaving = [entry for entry in found if entry.archived_at]
    return leaving + [
        entry
        for entry in found
        if not entry.archived_at
        and (entry.kind != Room.Kind.OPEN or entry.pk in listed)
    ]


def liveliness(entry):
    """What lists are sorted by: what was said last comes first, quiet rooms last."""
    return -entry.last_at.timestamp() if entry.last_at else 0, entry.slug


def marks_of(room_ids, user_ids):
    """Return the `Mark` by (room id, user id), of those that have one. Two queries."""
    of_these = {"room__in": room_ids, "user__in": user_ids}
    rows = Membership.objects.filter(**of_these)
    rows = rows.values_list("room_id", "user_id", "read_seq")
    read = {(room, user): seq for room, user, seq in rows}
    has_read = {"room": OuterRef("room"), "user": OuterRef("user")}
    has_read = Membership.objects.filter(read_seq__gte=OuterRef("seq"), **has_read)
    calls = Mention.objects.filter(~Exists(has_read), **of_these)
    calls = calls.values_list("room_id", "user_id").annotate(Count("pk"))
    mentions = {(room, user): count for room, user, count in calls}
    places = read.keys() | mentions.keys()
    return {place: Mark(read.get(place), mentions.get(place, 0)) for place in places}


def named_marks(places):
    """Return `{user id: {slug: Mark}}` for those of (room id, user id) pairs that can
    enter."""
    found = defaultdict(dict)
    for slug, user_id, *mark in Membership.objects.marks(places):
        found[user_id][slug] = Mark(*mark)
    return found


class Known(NamedTuple):
    """What tells that something has changed of the rooms of some users."""

    users: frozenset  # their ids
    rooms: dict  # facts by the id of the room
    places: set  # (room id, user id) in rooms that are not open


def look(user_ids):
    """Return the `Known` of some users.

    Of rooms that are open to all, and of theirs: of direct ones there may be as many as
    there are pairs of users.
    """
    users, rooms, places = list(user_ids), {}, set()
    is_open, some = Q(kind=Room.Kind.OPEN), [Q(kind=Room.Kind.OPEN)]
    for start in range(0, len(users), TOGETHER):
        theirs = Membership.objects.filter(user__in=users[start : start + TOGETHER])
        some.append(~is_open & Q(pk__in=theirs.values("room")))
        closed = theirs.exclude(room__kind=Room.Kind.OPEN)
        places.update(closed.values_list("room_id", "user_id"))
    for of_these in some:
        rows = Room.objects.filter(of_these)
        rows = rows.values_list("pk", "slug", "name", "archived_at", "last_rev")
        rooms |= {pk: tuple(facts) for pk, *facts in rows}
    return Known(frozenset(users), rooms, places)


def missing(room_ids):
    """Those of some rooms that there are no more."""
    there = Room.objects.filter(pk__in=room_ids).values_list("pk", flat=True)
    return set(room_ids).difference(there)


class Listing:
    """All lists that are open on one event loop.

    What changes in a room is asked for once, and encoded once for all who may see it,
    and so are whole lists. These are sent between two such rounds, so that none is
    older than what follows it. While nobody looks, nothing is asked.
    """

    PAUSE = 0.5  # seconds between two rounds, at least
    REST = 9  # times as long as one takes, which thousands of lists make long
    AT_ONCE = 100  # users whose whole lists are asked for together
    MARKS_LAST = 300.0  # seconds; then a user gets them again, should a tick be lost
    LOOKS = 30  # over which those are spread who came together

    def __init__(self):
        self.viewers = defaultdict(set)  # members, by the id of their user
        self.changes = Changes()
        self.known = None  # as `look` has found it, the last time
        self.marked_at = {}  # when each user had all marks, by the monotonic clock
        self.present = None  # names by slug; None if nobody can know
        self.everybody = frozenset()  # names of all who are here
        self.round = Errand(self._go_round, self.PAUSE, self.REST)

    def show(self, member):
        """Send a member the whole list, and from then on what changes in it."""
        self.changes.anything |= not self.viewers
        self.viewers[member.user_id].add(member)
        self.marked_at.setdefault(member.user_id, time.monotonic())
        self.changes.newcomers.add(member)
        self.round.ask()

    def forget(self, member):
        """Send a member nothing more."""
        self.changes.newcomers.discard(member)
        if member in (members := self.viewers.get(member.user_id, set())):
            members.remove(member)
            if not members:
                del self.viewers[member.user_id], self.marked_at[member.user_id]

    def look(self):
        """See soon whether something was missed."""
        if self.viewers:
            self.changes.anything = True
            self.round.ask()

    def start_anew(self, user_ids=None):
        """Send some users, or all, the whole list again."""
        for user_id in self.viewers if user_ids is None else user_ids:
            self.changes.newcomers.update(self.viewers.get(user_id, ()))
        if self.changes.newcomers:
            self.round.ask()

    def rooms_changed(self, room_ids):
        """Something was said, or a room is another now."""
        if self.viewers:
            self.changes.rooms.update(room_ids)
            self.round.ask()

    def marks_changed(self, places):
        """Users have read, or were called: (room id, user id) pairs."""
        if places := {place for place in places if place[1] in self.viewers}:
            self.changes.places |= places
            self.round.ask()

    def saw(self, present):
        """Hear who is where: names by slug; None if nobody can know."""
        before, after = self.present or {}, present or {}
        everybody = frozenset(name for names in after.values() for name in names)
        slugs = before.keys() | after.keys()
        slugs = {slug for slug in slugs if before.get(slug) != after.get(slug)}
        names = self.everybody ^ everybody
        self.present, self.everybody = present, everybody
        if self.viewers and (slugs or names):
            self.changes.slugs |= slugs
            self.changes.names |= names
            self.round.ask()

    async def _go_round(self):
        changes, self.changes = self.changes, Changes()
        try:
            if changes.anything:
                await self._look(changes)
            if (wanted := changes.wanted(list(self.viewers))) is not None:
                await self._push_rooms(await reader.ask(in_lists, wanted))
            if changes.places:
                self._push_marks(await reader.ask(named_marks, changes.places))
            await self._push_lists(changes.newcomers, changes.doubted)
        except Exception:
            # What was left undone is in the whole list, with the next round.
            self.start_anew()
            raise

    async def _look(self, changes):
        before, now = self.known, await reader.ask(look, list(self.viewers))
        self.known = now
        if before is None:
            return
        gone = before.rooms.keys() - now.rooms.keys()  # or those who look at them are
        if gone and await reader.ask(missing, gone):
            self.start_anew()
        moved = {user_id for _, user_id in before.places ^ now.places}
        self.start_anew(moved & before.users)  # invited or removed, and nobody told
        rooms = now.rooms.items()
        changes.rooms |= {pk for pk, is_now in rooms if before.rooms.get(pk) != is_now}
        changes.doubted.update(self._doubtful())

    def _doubtful(self):
        """Some users who have heard of no marks for long, and may have missed some:
        nothing that is cheap to ask tells whether they have changed."""
        now = time.monotonic()
        most = math.ceil(len(self.viewers) / self.LOOKS)
        longest = heapq.nsmallest(most, self.marked_at.items(), key=itemgetter(1))
        some = [user_id for user_id, at in longest if now - at >= self.MARKS_LAST]
        self.marked_at |= dict.fromkeys(some, now)
        return some

    async def _push_rooms(self, found):
        for_all = [entry for entry in found if entry.kind == Room.Kind.OPEN]
        theirs = by_member(found)
        place = {entry.pk: number for number, entry in enumerate(found)}
        encoder = Encoder(self._frame_part)
        async for user_id in in_turns(list(self.viewers)):
            rooms = for_all
            if user_id in theirs:
                rooms = [*for_all, *theirs[user_id]]
                rooms.sort(key=lambda entry: place[entry.pk])
            for member in self.viewers.get(user_id, ()) if rooms else ():
                member.push(encoder.frame(rooms[:LISTED]))

    def _push_marks(self, found):
        for user_id, marks in found.items():
            for member in self.viewers.get(user_id, ()):
                member.push(frames.marks(marks))

    async def _push_lists(self, newcomers, doubted):
        """Send some members the whole list, others only all marks in it."""
        waiting = list({member.user_id for member in newcomers} | doubted)
        for start in range(0, len(waiting), self.AT_ONCE):
            some = waiting[start : start + self.AT_ONCE]
            found = await reader.ask(lists, some)
            encoder = Encoder(self._frame_part, whole=True)
            async for user_id in in_turns(some):
                rooms = [entry for entry, _ in found[user_id]]
                marks = {entry.slug: mark for entry, mark in found[user_id]}
                some_marks = {s: mark for s, mark in marks.items() if mark != NEVER}
                for member in self.viewers.get(user_id, ()):
                    if member in newcomers:
                        member.push(encoder.frame(rooms))
                        member.push(frames.marks(some_marks, whole=True))
                    elif user_id in doubted:
                        member.push(frames.marks(marks))

    def _frame_part(self, entry):
        return frames.entry(entry, here(entry, self.present, self.everybody))


class Encoder:
    """Makes each frame of rooms once, for all who are to hear the same."""

    def __init__(self, part_of, whole=False):
        """`part_of(entry)` is what a frame has of a room."""
        self.part_of = part_of
        self.whole = whole
        self.parts = {}  # by the id of the room
        self.frames = {}  # by the ids of their rooms

    def frame(self, rooms):
        key = tuple(entry.pk for entry in rooms)
        if key not in self.frames:
            parts = [self._part(entry) for entry in rooms]
            self.frames[key] = frames.rooms(parts, self.whole)
        return self.frames[key]

    def _part(self, entry):
        if entry.pk not in self.parts:
            self.parts[entry.pk] = self.part_of(entry)
        return self.parts[entry.pk]


@dataclass
class Changes:
    """What has changed since the last round, or may have."""

    rooms: set = field(default_factory=set)  # ids
    slugs: set = field(default_factory=set)  # of rooms where people came or went
    names: set = field(default_factory=set)  # of users who came or went
    places: set = field(default_factory=set)  # (room id, user id) of marks
    newcomers: set = field(default_factory=set)  # members that need the whole list
    doubted: set = field(default_factory=set)  # ids of users that need their marks
    anything: bool = False

    def wanted(self, viewers):
        """The rooms that are to be asked for; None if there are none.

        Of direct ones, in which people are wherever they are, those of `viewers`.
        """
        if not (self.rooms or self.slugs or self.names):
            return None
        rooms = Q(pk__in=self.rooms) | Q(slug__in=self.slugs)
        if self.names:
            of_these = {f"user__{get_user_model().USERNAME_FIELD}__in": self.names}
            of_these = Membership.objects.filter(**of_these).values("room")
            theirs = Membership.objects.filter(user__in=viewers).values("room")
            direct = Q(kind=Room.Kind.DIRECT)
            rooms |= direct & Q(pk__in=of_these) & Q(pk__in=theirs)
        return Room.objects.filter(rooms)


def here(entry, present, everybody):
    """Names of those who are in a room; of the two of a direct one, who is anywhere.
    None if nobody can know."""
    if present is None:
        return None
    if entry.kind == Room.Kind.DIRECT:
        return [name for name in entry.members.values() if name in everybody]
    return list(present.get(entry.slug, ()))
