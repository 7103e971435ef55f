"""Who is in a room but idle, and who belongs to it but is away."""

import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from django.utils import timezone

from monitor import presence

from .models import Membership
from .reader import reader

ROUTE = "chat"
IDLE_AFTER = 5 * 60.0  # seconds in which no person showed
SHOWN = 50  # of those who are away from a room
LOOKED_UP = 200  # of them; who has read furthest was there last, mostly
KEPT = 60.0  # seconds; heals what nobody told of, such as a visit of a moment
AT_ONCE = 20  # rooms that are asked for together


def present():
    """Return who is in which room, and when a person last showed of them there:
    `{slug: {name: time}}`. None if nobody can know. One query."""
    return presence.members(ROUTE, "slug")


def idle(heard):
    """Those of `{name: time}` who are idle, with since when."""
    limit = timezone.now() - timedelta(seconds=IDLE_AFTER)
    return {name: at for name, at in heard.items() if at <= limit}


class Away(NamedTuple):
    """Somebody who belongs to a room and is not there."""

    user: str
    seen_at: object  # when they left the chat; None: never seen, or still in it
    is_elsewhere: bool  # in another room


@dataclass(slots=True)
class Others:
    """Who belonged to a room and was not there, when that was asked."""

    names: set  # of those who were there, at the last roll call
    seen: dict  # by name: when the others left the chat, the last first; or None
    is_cut: bool  # whether there were more of them
    asked_at: float  # by the monotonic clock

    def is_outdated(self, names, gone):
        """Whether to ask again: not for those who have come, whom a list leaves out."""
        if self.names - names or gone & self.seen.keys():
            return True
        if time.monotonic() - self.asked_at > KEPT:
            return True
        return self.is_cut and len(self.seen.keys() - names) < SHOWN

    def away(self, names, everybody):
        """Those who are away now, the last seen first."""
        left = [(name, at) for name, at in self.seen.items() if name not in names]
        elsewhere = sorted(name for name, _ in left if name in everybody)
        away = [Away(name, at, False) for name, at in left if name not in everybody]
        return [*(Away(name, None, True) for name in elsewhere), *away][:SHOWN]


class Absentees:
    """Who is away from the rooms of one event loop.

    The database is asked for it only when somebody has left, for all such rooms
    together.
    """

    def __init__(self):
        self.others = {}  # by the id of the room
        self.everybody = frozenset()  # names of all who are in a room of the chat

    def invite(self, room_ids):
        """Hear that others belong to rooms now."""
        for room_id in room_ids:
            self.others.pop(room_id, None)

    async def look(self, here, everybody):
        """Learn who is away, from who is here: names by the id of the room."""
        gone = self.everybody - everybody
        self.others = {pk: one for pk, one in self.others.items() if pk in here}
        outdated = [
            pk
            for pk, names in here.items()
            if pk not in self.others or self.others[pk].is_outdated(names, gone)
        ]
        for start in range(0, len(outdated), AT_ONCE):
            some = {pk: here[pk] for pk in outdated[start : start + AT_ONCE]}
            self.others |= await reader.ask(others, some)
        for pk, one in self.others.items():
            one.names = here.get(pk, one.names)
        self.everybody = everybody

    def away(self, room_id, names):
        """Those who are away from a room now."""
        others = self.others.get(room_id)
        return others.away(names, self.everybody) if others else []


def others(here):
    """Return the `Others` of rooms, from names by the room's id. A few queries."""
    most = LOOKED_UP + 1 + max(map(len, here.values()))
    found = defaultdict(dict)
    for room_id, user_id, name in Membership.objects.foremost(here, most):
        if name not in here[room_id] and len(found[room_id]) <= LOOKED_UP:
            found[room_id][user_id] = name
    users = {user_id for of_room in found.values() for user_id in of_room}
    seen = presence.last_seen(ROUTE, users)
    return {pk: _others(names, found[pk], seen) for pk, names in here.items()}


def _others(names, found, seen):
    def order(user_id):
        at = seen.get(user_id)
        return -at.timestamp() if at else 0, found[user_id]

    ids = sorted(found, key=order)
    by_name = {found[user_id]: seen.get(user_id) for user_id in ids}
    return Others(names, by_name, len(found) > LOOKED_UP, time.monotonic())
