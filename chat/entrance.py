"""What whoever enters a room is given: the room, and its last page of history."""

from typing import NamedTuple

from . import frames
from .models import PAGE, Room


class Entrance(NamedTuple):
    """The same for all who enter a room at the same time."""

    room: object  # (pk, slug, last_rev, last_seq, name, archived_at, kind)
    seen: int  # the rev up to which the history has everything
    frame: str


def facts_of(room):
    """What people see of a room: its name, and since when it is archived, if at all."""
    return room.name, room.archived_at


def entrances(slugs):
    """Return the `Entrance` of each room, by its slug; none where there is no room."""
    found = Room.objects.entrances(slugs)
    return {slug: _entrance(room, page) for slug, (room, page) in found.items()}


def _entrance(room, messages):
    seen = max([room.last_rev, *(message.rev for message in messages)])
    more = room.last_seq > PAGE
    frame = frames.history(messages, more, room.slug, rev=seen, facts=facts_of(room))
    return Entrance(room, seen, frame)
