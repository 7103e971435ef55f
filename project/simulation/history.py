"""What was said in the days before: messages that a new installation is filled with."""

from datetime import datetime
from random import Random

from django.contrib.auth import get_user_model
from django.db import transaction

from chat.ledger import Change, Submission, next_message
from chat.models import Membership, Mention, Message, Room
from chat.ticks import Tick, tick

from .people import speakers
from .repertoire import DELETES, SAYS, places
from .schedule import schedule

GUESTS = ("ana", "admin")  # demo accounts; those that are there enter closed rooms
UNREAD = (0, 9)  # messages that a demo account has not read in a room, from and to
INSIDERS = 5  # simulated people in a private room


def fill(users, now=None):
    """Have users talk in the rooms of the library; return how many messages by slug.

    Only in rooms where nobody has ever said anything, and that are not somebody's. So
    it does nothing the second time.
    """
    now = now or datetime.now().astimezone()
    filled = {}
    with transaction.atomic():
        for place in places().values():
            room, people = room_of(place, users)
            if room is None or is_somebodys(room):
                continue
            [head] = Room.objects.heads({room.pk}).values()
            if head.last_seq:
                continue
            messages = spoken(place, head, people, now)
            store(head, messages)
            remember(room, head, people)
            filled[room.pk] = room.slug, len(messages)
    if filled:
        tick(Tick.ROOM, filled)
    return dict(filled.values())


def open_places():
    """The rooms of the library that are there for all to talk in, by slug.

    Those that somebody made are theirs, whatever they are called.
    """
    rooms = Room.objects.filter(slug__in=places(), kind=Room.Kind.OPEN)
    rooms = rooms.filter(created_by=None, archived_at=None)
    slugs = set(rooms.values_list("slug", flat=True))
    return {slug: place for slug, place in places().items() if slug in slugs}


def is_somebodys(room):
    """Whether it was there for something else."""
    is_made = room.created_by_id is not None and room.kind != Room.Kind.DIRECT
    return is_made or room.archived_at is not None


def room_of(place, users):
    """The room of a place, made if it is missing, and who talks there.

    None if those whom it is for are missing.
    """
    facts = {"name": place.name, "kind": place.kind}
    if place.kind == Room.Kind.OPEN:
        room, _ = Room.objects.get_or_create(slug=place.slug, defaults=facts)
        return room, users
    guests = get_user_model().objects.filter(username__in=GUESTS)
    guests = sorted(guests, key=lambda guest: GUESTS.index(guest.get_username()))
    if not guests:
        return None, ()
    if place.kind == Room.Kind.DIRECT:
        both = users[0], guests[0]
        return Room.objects.direct(*both)[0], list(both)
    room, is_new = Room.objects.get_or_create(slug=place.slug, defaults=facts)
    people = [*users[:INSIDERS], *guests]
    if is_new:
        join(room, dict.fromkeys(people, 0))
    return room, people


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


def remember(room, head, people):
    """Have those who talked in a room read all, and the demo accounts nearly."""
    random = Random(room.slug)
    read = dict.fromkeys(people, head.last_seq)
    for guest in get_user_model().objects.filter(username__in=GUESTS):
        if guest in read or room.kind == Room.Kind.OPEN:
            read[guest] = max(0, head.last_seq - random.randint(*UNREAD))
    join(room, read)
    for user, seq in read.items():
        Mention.objects.filter(room=room, user=user, seq__lte=seq).delete()


def join(room, read):
    """Give users a place in a room, with how far they have read."""
    Membership.objects.bulk_create(
        [Membership(room=room, user=user, read_seq=seq) for user, seq in read.items()],
        update_conflicts=True,
        unique_fields=["room", "user"],
        update_fields=["read_seq"],
    )
