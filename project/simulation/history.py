"""What was said in the days before: messages that a new installation is filled with."""

from datetime import datetime
from random import Random

from django.db import transaction

from chat.ledger import Change, Submission, next_message
from chat.models import Mention, Message, Room
from chat.ticks import Tick, tick

from .library import DELETES, SAYS, places
from .people import speakers
from .schedule import schedule


def fill(users, now=None):
    """Have users talk in the rooms of the library; return how many messages by slug.

    Only in rooms where nobody has ever said anything, and that are not somebody's. So
    it does nothing the second time.
    """
    now = now or datetime.now().astimezone()
    filled = {}
    with transaction.atomic():
        for place in places().values():
            room = room_of(place)
            [head] = Room.objects.heads({room.pk}).values()
            if head.last_seq or place.slug not in open_places():
                continue
            messages = spoken(place, head, users, now)
            store(head, messages)
            filled[room.pk] = place.slug, len(messages)
    if filled:
        tick(Tick.ROOM, filled)
    return dict(filled.values())


def open_places():
    """The rooms of the library that are there to talk in, by slug.

    Those that somebody made are theirs, whatever they are called.
    """
    rooms = Room.objects.filter(slug__in=places(), created_by=None, archived_at=None)
    slugs = set(rooms.values_list("slug", flat=True))
    return {slug: place for slug, place in places().items() if slug in slugs}


def room_of(place):
    """The room of a place, made if it is missing."""
    facts = {"name": place.name}
    room, _ = Room.objects.get_or_create(slug=place.slug, defaults=facts)
    return room


def spoken(place, head, users, now):
    """The messages of a place, with the next numbers of its room; not stored yet."""
    random = Random(place.slug)
    users = speakers(users, place.language)
    messages, last = [], {}
    for at, line, cast in schedule(place, users, now, random):
        author, text = cast.people[line.role], cast.words(line)
        if line.kind == SAYS:
            name = author.get_username()
            said = Submission(head.room_id, author.pk, name, text, None, None)
            last[author] = next_message(head, said, at)
            messages.append(last[author])
        else:
            wanted = None if line.kind == DELETES else text
            message = last[author]
            change = Change(head.room_id, message.seq, author, wanted, None)
            change.apply(message, head, at)
    return messages


def store(head, messages):
    """Store messages and how far their room has come, as the ledger does."""
    Message.objects.bulk_create(messages)
    Mention.objects.write(messages, [])
    Room.objects.advance([head])
