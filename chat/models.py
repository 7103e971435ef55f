"""What is kept of the chat. Models hold facts, querysets hold questions."""

import json
import re
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.core.validators import RegexValidator
from django.db import connection, models, transaction
from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, Window
from django.db.models.functions import RowNumber
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .lobby import LOBBY

SLUG_LENGTH = 50
DIRECT = "dm-"  # with which the slugs of direct rooms begin, and no others
PAGE = 50  # messages of one page of history

# A user name as Django takes them, after something that is no part of a word.
CALL = re.compile(r"(?<![\w.+@-])@([\w.+@-]+)")


def called_names(text, most=None):
    """Names that a text may call, or the first so many of them: in "@ana." that is
    "ana.", and also "ana"."""
    found = list(dict.fromkeys(CALL.findall(text)))[:most]
    return {*found, *(name.rstrip(".+@-") for name in found)}


class RoomQuerySet(models.QuerySet):
    def visible_to(self, user):
        """Rooms that a user may enter: open ones, and those whose member they are."""
        theirs = Membership.objects.filter(room=OuterRef("pk"), user=user)
        return self.filter(Q(kind=Room.Kind.OPEN) | Exists(theirs))

    def direct(self, user, other):
        """Return the conversation of two users, and whether it was just made."""
        low, high = sorted([user.pk, other.pk])
        name = f"{user.get_username()}, {other.get_username()}"[:SLUG_LENGTH]
        slug = f"{DIRECT}{low}-{high}"
        if self.filter(slug=slug).exclude(kind=Room.Kind.DIRECT).exists():
            slug += "-direct"  # some room was called so before there were direct ones
        with transaction.atomic():
            room, is_new = self.get_or_create(
                slug=slug,
                kind=Room.Kind.DIRECT,
                defaults={"name": name, "created_by": user},
            )
            if is_new:
                both = [Membership(room=room, user=one) for one in (user, other)]
                Membership.objects.bulk_create(both)
        return room, is_new

    def with_last_message(self):
        """Annotate `last_text`, `last_author` and `last_at`; None in a quiet room."""
        return self.annotate(
            last=FilteredRelation("messages", condition=Q(messages__seq=F("last_seq"))),
            last_text=F("last__text"),
            last_author=F("last__author_name"),
            last_at=F("last__sent_at"),
        )

    def liveliest_first(self):
        """Order by the time of the last message; for `with_last_message()`."""
        return self.order_by(F("last_at").desc(nulls_last=True), "slug")

    def entrances(self, slugs):
        """Return `(room, messages)` by slug: rooms and their last page of history.

        A room is `(pk, slug, last_rev, last_seq, name, archived_at, kind)`; every
        member keeps one, and a whole `Room` is larger. Two queries. What was committed
        between them is among the messages, up to the newest of them; or it changed one
        that is older than all of these.
        """
        names = ("pk", "slug", "last_rev", "last_seq", "name", "archived_at", "kind")
        rooms = self.filter(slug__in=slugs).values_list(*names, named=True)
        found = {room.pk: (room, []) for room in rooms}
        # Numbers have no gaps: it needs no limit, which would be one for all rooms.
        pages = (Q(room=pk, seq__gt=r.last_seq - PAGE) for pk, (r, _) in found.items())
        if found:
            recent = reduce(or_, pages)
            for message in Message.objects.filter(recent).order_by("seq"):
                found[message.room_id][1].append(message)
        return {room.slug: (room, messages) for room, messages in found.values()}

    def heads(self, ids):
        """Lock rooms until the transaction ends, in an order that cannot deadlock;
        return their heads by id.

        Inserting a message takes a key-share lock on its room, which `no_key` lets
        pass.
        """
        places = ", ".join(["%s"] * len(ids))
        # SQLite's transaction has locked everything by its BEGIN IMMEDIATE.
        is_embedded = connection.vendor == "sqlite"
        lock = "" if is_embedded else connection.ops.for_update_sql(no_key=True)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id, last_seq, last_rev, archived_at IS NOT NULL, "
                "kind = 'open' FROM chat_room "
                f"WHERE id IN ({places}) ORDER BY id {lock}",
                list(ids),
            )
            return {row[0]: Head(*row) for row in cursor}

    def advance(self, heads):
        """Store the heads of rooms."""
        rows = [(head.last_seq, head.last_rev, head.room_id) for head in heads]
        with connection.cursor() as cursor:
            cursor.executemany(
                "UPDATE chat_room SET last_seq = %s, last_rev = %s WHERE id = %s", rows
            )


@dataclass(slots=True)
class Head:
    """How far a room has come."""

    room_id: int
    last_seq: int
    last_rev: int
    is_archived: bool
    is_open: bool


class Room(models.Model):
    """A place to talk.

    `last_seq` numbers its messages, and `last_rev` what changes in it: a new message
    takes the next of both. Both count from 1 without gaps, in the order of commits.
    """

    class Kind(models.TextChoices):
        """Who may enter."""

        OPEN = "open", _("open to all users")
        PRIVATE = "private", _("for invited members")
        DIRECT = "direct", _("between two users")

    slug = models.CharField(
        max_length=SLUG_LENGTH,
        unique=True,
        validators=[RegexValidator(r"\A[a-z0-9-]+\Z", "Use a-z, 0-9 and hyphens.")],
    )
    name = models.CharField(max_length=SLUG_LENGTH)
    kind = models.CharField(
        max_length=20,
        choices=Kind.choices,
        default=Kind.OPEN,
        db_default=Kind.OPEN,  # processes of the version before make rooms, too
        editable=False,
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_seq = models.PositiveBigIntegerField(default=0, editable=False)
    last_rev = models.PositiveBigIntegerField(default=0, editable=False)

    objects = RoomQuerySet.as_manager()

    def __str__(self):
        return self.name

    def clean(self):
        if self._state.adding and self.slug.startswith(DIRECT):
            words = _("Addresses that begin with “dm-” are for direct messages.")
            raise ValidationError({"slug": words})

    def get_absolute_url(self):
        return reverse("room", args=[self.slug])

    def members(self):
        """The users who belong to it, by name."""
        users = get_user_model().objects.filter(chat_memberships__room=self)
        return users.order_by("username")

    def name_for(self, user):
        """What a user calls it: a direct one by the other's name."""
        if self.kind != Room.Kind.DIRECT:
            return self.name
        other = self.members().exclude(pk=user.pk).first()
        return other.get_username() if other else self.name

    def is_run_by(self, user):
        """Whether a user may rename and archive it: who made it, and staff. The lobby
        is always there."""
        is_theirs = self.created_by_id is not None and self.created_by_id == user.pk
        is_run = self.slug != LOBBY and self.kind != Room.Kind.DIRECT
        return (is_theirs or user.is_staff) and is_run


class MembershipQuerySet(models.QuerySet):
    def let_go(self, room, user_id):
        """Take a user's place in a room away, and what called them there.

        What they say at this moment is stored before, or not at all.
        """
        with transaction.atomic():
            Room.objects.heads([room.pk])
            self.filter(room=room, user=user_id).delete()
            Mention.objects.filter(room=room, user=user_id).delete()

    def of(self, pairs):
        """Return `{(room id, user id): True}` for those of the pairs that are there."""
        places, rows = self._places(dict.fromkeys(pairs, 0))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT m.room_id, m.user_id FROM chat_membership m "
                f"JOIN {places} USING (room_id, user_id)",
                [rows],
            )
            return dict.fromkeys(cursor.fetchall(), True)

    def foremost(self, room_ids, most):
        """Return those who have read furthest, at most so many of each room.

        As (room id, user id, name). One query.
        """
        users = get_user_model()
        rank = Window(
            RowNumber(), partition_by="room", order_by=[F("read_seq").desc(), "user"]
        )
        rows = self.filter(room__in=room_ids, user__is_active=True)
        rows = rows.annotate(rank=rank).filter(rank__lte=most).order_by("room", "rank")
        return rows.values_list("room", "user", f"user__{users.USERNAME_FIELD}")

    def read(self, marks):
        """Store how far users have read: `{(room id, user id): seq}`.

        Marks only go forward, and not beyond the last message. Who has no place in a
        room gets one if it is open. What has called them up to there has been heard.
        """
        users = get_user_model()._meta
        places, rows = self._places(marks)
        with transaction.atomic(), connection.cursor() as cursor:
            if connection.vendor != "sqlite":  # which has locked everything
                # Two processes that store marks of one user must not wait for each
                # other.
                cursor.execute(
                    f"SELECT FROM chat_membership m JOIN {places} USING "
                    "(room_id, user_id) ORDER BY m.id FOR NO KEY UPDATE OF m",
                    [rows],
                )
            # An update first: whoever is removed at this moment must not come back.
            cursor.execute(
                f"UPDATE chat_membership AS m SET read_seq = place.seq FROM {places} "
                "JOIN chat_room r ON r.id = place.room_id AND r.last_seq >= place.seq "
                "WHERE m.room_id = place.room_id AND m.user_id = place.user_id "
                "AND m.read_seq < place.seq",
                [rows],
            )
            cursor.execute(
                "INSERT INTO chat_membership (read_seq, room_id, user_id, since) "
                f"SELECT place.seq, r.id, u.{users.pk.column}, CURRENT_TIMESTAMP "
                f"FROM {places} JOIN chat_room r ON r.id = place.room_id "
                "AND r.last_seq >= place.seq AND r.kind = 'open' "
                f"JOIN {users.db_table} u ON u.{users.pk.column} = place.user_id "
                "WHERE NOT EXISTS (SELECT 1 FROM chat_membership m "
                "WHERE m.room_id = place.room_id AND m.user_id = place.user_id) "
                "ON CONFLICT DO NOTHING",
                [rows],
            )
            cursor.execute(
                "DELETE FROM chat_mention WHERE id IN (SELECT call.id FROM "
                f"{places} JOIN chat_room r ON r.id = place.room_id "
                "AND r.last_seq >= place.seq "
                "JOIN chat_mention call ON call.user_id = place.user_id "
                "AND call.room_id = place.room_id AND call.seq <= place.seq)",
                [rows],
            )

    def marks(self, pairs):
        """Return how users stand to rooms, of (room id, user id) pairs that can enter.

        As (room's slug, user id, up to where they have read, how often they were called
        since); None for who was never there. One query.
        """
        places, rows = self._places(dict.fromkeys(pairs, 0))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT r.slug, place.user_id, m.read_seq, (SELECT count(*) FROM "
                "chat_mention call WHERE call.user_id = place.user_id AND "
                "call.room_id = place.room_id AND "
                "call.seq > COALESCE(m.read_seq, 0)) "
                f"FROM {places} JOIN chat_room r ON r.id = place.room_id "
                "LEFT JOIN chat_membership m ON m.room_id = place.room_id "
                "AND m.user_id = place.user_id "
                "WHERE r.kind = 'open' OR m.id IS NOT NULL",
                [rows],
            )
            return cursor.fetchall()

    def _places(self, numbers):
        """SQL for rows `place` of a room, a user and a number, and its parameter."""
        rows = [[room, user, seq] for (room, user), seq in sorted(numbers.items())]
        user_type = self.model._meta.get_field("user").db_type(connection)
        places = _PLACES[connection.vendor].format(user=user_type)
        return places, json.dumps(rows, cls=DjangoJSONEncoder)


_PLACES = {
    "postgresql": (
        "(SELECT (value->>0)::bigint AS room_id, (value->>1)::{user} AS user_id, "
        "(value->>2)::bigint AS seq FROM json_array_elements(%s::json)) AS place"
    ),
    "sqlite": (
        "(SELECT json_extract(value, '$[0]') AS room_id, "
        "json_extract(value, '$[1]') AS user_id, "
        "json_extract(value, '$[2]') AS seq FROM json_each(%s)) AS place"
    ),
}


class Membership(models.Model):
    """A user's place in a room, and how far they have read.

    In an open room it comes with reading there. The others can be entered by nobody
    else: it is the invitation, and without it the way in is closed.
    """

    room = models.ForeignKey(
        Room,
        models.CASCADE,
        related_name="memberships",
        db_index=False,  # the unique constraint has one
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="chat_memberships"
    )
    since = models.DateTimeField(default=timezone.now)
    read_seq = models.PositiveBigIntegerField(
        default=0, help_text="All messages up to this number are read."
    )

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["room", "user"], name="chat_membership_room_user"
            )
        ]

    def __str__(self):
        return f"{self.user_id} in {self.room_id}"


class News(NamedTuple):
    """What changed in a room since somebody looked."""

    last_rev: int  # of the room
    facts: tuple  # of the room: its name, and since when it is archived, if at all
    messages: list  # in the order of their revs
    more: bool  # than these


class MessageQuerySet(models.QuerySet):
    NEWS = 500  # messages that are brought for several rooms by one query
    MARKS = 100  # in one query; SQLite takes no expression of a thousand
    SEARCHED = 100_000  # messages that one search looks through

    def before(self, room_id, seq, limit):
        """Return the messages of a room before a number, as many as `limit`, and
        whether there are older ones. Oldest first."""
        older = self.filter(room_id=room_id, seq__lt=seq).order_by("-seq")
        newest_first = list(older[: limit + 1])
        return newest_first[:limit][::-1], len(newest_first) > limit

    def after(self, room_id, seq, limit):
        """Return the messages of a room after a number, as many as `limit`, and whether
        there are newer ones. Oldest first."""
        newer = self.filter(room_id=room_id, seq__gt=seq).order_by("seq")
        found = list(newer[: limit + 1])
        return found[:limit], len(found) > limit

    def around(self, room_id, seq, limit):
        """Return a page with a number in its middle, and whether there are older ones,
        and newer ones. Oldest first."""
        older, more = self.before(room_id, seq, limit // 2)
        newer, newer_still = self.after(room_id, seq - 1, limit - limit // 2)
        return older + newer, more, newer_still

    def containing(self, room_id, text, before, limit):
        """Return messages with a text in them, in either case, newest first, and the
        number before which there are more to look through; None if there are none.

        Only those before a number are looked through, and at most `SEARCHED` of them.

        The databases know the case of ASCII letters, and not all of others. So they
        are asked for what agrees in the ASCII letters, and the rest is seen to here.
        """
        room = Room.objects.filter(pk=room_id).values_list("last_seq", flat=True)
        before = min(before, (room.first() or 0) + 1)
        end = max(1, before - self.SEARCHED)
        candidates = self.filter(room_id=room_id, seq__gte=end).order_by("-seq")
        candidates = candidates.filter(_may_contain(text))
        wanted, found = text.lower(), []
        size = limit + 1 if text.isascii() else self.NEWS
        while len(found) <= limit:
            some = list(candidates.filter(seq__lt=before)[:size])
            found += [message for message in some if wanted in message.text.lower()]
            if len(some) < size:
                break
            before = some[-1].seq
        if len(found) > limit:
            end = found[limit - 1].seq
        return found[:limit], end if end > 1 else None

    def changed(self, room_id, after, limit):
        """Return what changed in a room after a `rev`, in that order, and whether
        there is more than `limit`."""
        changes = self.filter(room_id=room_id, rev__gt=after).order_by("rev")
        found = list(changes[: limit + 1])
        return found[:limit], len(found) > limit

    def news(self, marks, limit):
        """Return what changed in rooms since marks: `{mark: News}`.

        A mark is the id of a room and the last `rev` known of it. Rooms that are gone
        are left out. At most `limit` messages for each mark. Two queries, and more
        if many marks are behind, or far.
        """
        rooms = Room.objects.filter(pk__in={room_id for room_id, _ in marks})
        rows = rooms.values_list("pk", "last_rev", "name", "archived_at")
        found = {pk: (last_rev, facts) for pk, last_rev, *facts in rows}
        known = [mark for mark in marks if mark[0] in found]
        behind = [(pk, rev) for pk, rev in known if found[pk][0] > rev]
        changes = {mark: ([], False) for mark in known} | self._changed(behind, limit)
        return {
            (pk, rev): News(found[pk][0], tuple(found[pk][1]), *changes[pk, rev])
            for pk, rev in known
        }

    def _changed(self, marks, limit):
        """`changed` for several marks."""
        if not marks:
            return {}
        if len(marks) == 1:
            return {mark: self.changed(*mark, limit) for mark in marks}
        if len(marks) <= self.MARKS:
            since_any = reduce(or_, (Q(room=pk, rev__gt=rev) for pk, rev in marks))
            found = list(self.filter(since_any).order_by("rev")[: self.NEWS + 1])
            if len(found) <= self.NEWS:
                return _by_mark(marks, found, limit)
        middle = len(marks) // 2
        first = self._changed(marks[:middle], limit)
        return first | self._changed(marks[middle:], limit)

    def insert(self, messages):
        """Insert new messages.

        `bulk_create` would ask each field of each of them how to write it, which takes
        longer than writing.
        """
        field = self.model._meta.get_field
        author, client_id = (
            field(name).get_db_prep_save for name in ("author", "client_id")
        )
        moment = connection.ops.adapt_datetimefield_value
        rows = [
            (
                *(m.room_id, m.seq, m.rev),
                *(author(m.author_id, connection), m.author_name),
                *(client_id(m.client_id, connection), m.text, moment(m.sent_at)),
            )
            for m in messages
        ]
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO chat_message (room_id, seq, rev, author_id, author_name, "
                "client_id, text, sent_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                rows,
            )

    def update_changed(self, messages):
        """Store what was changed of messages that were there before."""
        fields = ["rev", "text", "edited_at", "deleted_at", "deleted_by_name"]
        self.bulk_update(messages, fields)

    def numbered(self, numbers):
        """Return messages by (room id, seq). One query."""
        if not numbers:
            return {}
        any_of = reduce(or_, (Q(room=pk, seq=seq) for pk, seq in numbers))
        found = self.filter(any_of)
        return {(message.room_id, message.seq): message for message in found}

    def already_stored(self, identities):
        """Return messages by identity: the ids of the author and of their client."""
        if not identities:
            return {}
        authors, client_ids = zip(*identities, strict=True)
        found = self.filter(author_id__in=authors, client_id__in=client_ids)
        return {(message.author_id, message.client_id): message for message in found}


def _may_contain(text):
    pieces = [piece for piece in re.split(r"[^\x00-\x7f]+", text) if piece]
    if pieces:
        return reduce(and_, (Q(text__icontains=piece) for piece in pieces))
    spellings = {text, text.lower(), text.upper(), text.capitalize()}
    return reduce(or_, (Q(text__contains=one) for one in spellings))


def _by_mark(marks, messages, limit):
    """What of the messages, in the order of their revs, is news for each mark."""
    by_room = {}
    for message in messages:
        by_room.setdefault(message.room_id, []).append(message)
    changes = {}
    for pk, rev in marks:
        news = [message for message in by_room.get(pk, []) if message.rev > rev]
        changes[pk, rev] = news[:limit], len(news) > limit
    return changes


class Message(models.Model):
    """What a user wrote in a room.

    It outlives its author's account, under the name of that time: what others
    answered to it would make no sense without it. For the same reason one that was
    deleted keeps its place, without its text. Each change takes the room's next `rev`.
    """

    room = models.ForeignKey(
        Room,
        models.CASCADE,
        related_name="messages",
        db_index=False,  # the unique constraint has one
    )
    seq = models.PositiveBigIntegerField(help_text="Numbers the messages of a room.")
    rev = models.PositiveBigIntegerField(help_text="Numbers the changes of a room.")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    author_name = models.CharField(max_length=255)
    client_id = models.UUIDField(
        null=True, blank=True, help_text="Given by the client: a retry stores nothing."
    )
    text = models.TextField(help_text="Empty once it is deleted.")
    sent_at = models.DateTimeField()
    edited_at = models.DateTimeField(null=True, help_text="The last time.")
    deleted_at = models.DateTimeField(null=True)
    deleted_by_name = models.CharField(max_length=255, blank=True, db_default="")

    called = frozenset()  # ids of the users whom it calls; see `Mention`

    objects = MessageQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["room", "seq"], name="chat_message_room_seq"
            ),
            models.UniqueConstraint(
                fields=["room", "rev"], name="chat_message_room_rev"
            ),
            models.UniqueConstraint(
                fields=["author", "client_id"],
                condition=Q(client_id__isnull=False),
                name="chat_message_author_client_id",
            ),
        ]

    def __str__(self):
        return f"{self.room_id}/{self.seq}"


class MentionQuerySet(models.QuerySet):
    CALLED = 50  # users by one message
    NAMED = 200  # names in one message that may be theirs, the first ones
    TOGETHER = 1000  # names that are looked up in one query

    def write(self, new, changed):
        """Note whom messages call, in place of whom they have called before.

        Their `called` is set to the ids of those users, the former ones included. In
        the transaction that writes the messages.
        """
        if changed:
            numbers = (Q(room=m.room_id, seq=m.seq) for m in changed)
            former = self.filter(reduce(or_, numbers))
            by_number = {(m.room_id, m.seq): m for m in changed}
            for *number, user_id in former.values_list("room_id", "seq", "user_id"):
                by_number[tuple(number)].called |= {user_id}
            former.delete()
        calling = [message for message in (*new, *changed) if "@" in message.text]
        texts = [
            (message, called_names(message.text, self.NAMED)) for message in calling
        ]
        ids = self._ids_of(set().union(*(names for _, names in texts)))
        if not ids:
            return
        calls = []
        for message, names in texts:
            called = {ids[name] for name in names if name in ids}
            called = sorted(called - {message.author_id})[: self.CALLED]
            calls += [(message, user_id) for user_id in called]
            message.called |= set(called)
        self._insert(calls)

    def _ids_of(self, names):
        """The ids of users by name; a database takes only so many names at once."""
        field, names, ids = get_user_model().USERNAME_FIELD, list(names), {}
        for start in range(0, len(names), self.TOGETHER):
            some = {f"{field}__in": names[start : start + self.TOGETHER]}
            users = get_user_model().objects.filter(**some)
            ids |= users.values_list(field, "pk")
        return ids

    def _insert(self, calls):
        """Insert calls, but of those who may not enter, or have read on already."""
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO chat_mention (room_id, seq, user_id) "
                "SELECT r.id, %s, %s FROM chat_room r "
                "LEFT JOIN chat_membership m ON m.room_id = r.id AND m.user_id = %s "
                "WHERE r.id = %s AND (m.id IS NOT NULL OR r.kind = 'open') "
                "AND COALESCE(m.read_seq, 0) < %s ON CONFLICT DO NOTHING",
                [(m.seq, user, user, m.room_id, m.seq) for m, user in calls],
            )


class Mention(models.Model):
    """That a message calls a user by name, `@ana`, until they have read it.

    By the number of the message: it is written together with it, before anybody knows
    the id.
    """

    room = models.ForeignKey(Room, models.CASCADE, related_name="+", db_index=False)
    seq = models.PositiveBigIntegerField()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )

    objects = MentionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "room", "seq"], name="chat_mention_user_room_seq"
            )
        ]
        indexes = [models.Index(fields=["room", "seq"], name="chat_mention_room_seq")]

    def __str__(self):
        return f"{self.user_id} in {self.room_id}/{self.seq}"
