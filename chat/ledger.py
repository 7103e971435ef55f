"""Stores messages and their changes: whatever waits goes into one transaction (group
commit)."""

import asyncio
import atexit
import logging
from collections import deque
from dataclasses import dataclass
from threading import Condition, Thread
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import DataError, IntegrityError, connection, transaction
from django.utils import timezone

from monitor.turns import taking_turns

from .hub import local_hub
from .models import Membership, Mention, Message, Room

logger = logging.getLogger("channelscope.chat")


class Busy(Exception):
    """So many messages wait that this one was not taken."""


class Archived(Exception):
    """Nothing is written or edited in this room any more."""


class NotAMember(Exception):
    """The room is for members, of whom this user is none any more."""


class NotYours(Exception):
    """The message is somebody else's."""


@dataclass(eq=False, slots=True)
class Submission:
    """A message on its way into the database, and who waits for it."""

    room_id: int
    author_id: int
    author_name: str
    text: str
    client_id: UUID | None
    stored: asyncio.Future

    @property
    def place(self):
        """Where who writes; what an invitation is about."""
        return self.room_id, self.author_id

    @property
    def identity(self):
        """What tells a retry from a new message."""
        return self.author_id, self.client_id


@dataclass(eq=False, slots=True)
class Change:
    """What somebody wants of a message that is stored, and who waits for it."""

    room_id: int
    seq: int
    user: object
    text: str | None  # None: delete it
    stored: asyncio.Future

    @property
    def place(self):
        return self.room_id, self.user.pk

    @property
    def deletes(self):
        return self.text is None

    def apply(self, message, head, now, staff=()):
        """Change a message, unless it is as it should be. `staff`: ids of users who may
        delete what others said. NotYours; `Message.DoesNotExist` if it was deleted."""
        is_own = message.author_id == self.user.pk
        if not is_own and not (self.deletes and self.user.pk in staff):
            raise NotYours
        if message.deleted_at and not self.deletes:
            raise Message.DoesNotExist
        if message.deleted_at or self.text == message.text:
            return
        if self.deletes:
            message.text, message.deleted_at = "", now
            message.deleted_by_name = self.user.get_username()
        else:
            message.text, message.edited_at = self.text, now
        head.last_rev += 1
        message.rev = head.last_rev


class Ledger:
    """One thread with a database connection of its own, and what waits for it.

    While it commits, the next batch gathers; so a batch is as large as the load
    makes it, and a lone message waits for nobody. `on_commit(messages)` is called on
    the event loop of each waiting consumer, with what its consumers submitted; a
    message that was stored before may be among them.
    """

    LIMIT = 10_000  # messages waiting
    BATCH = 500  # messages in one transaction

    def __init__(self, on_commit):
        self.on_commit = on_commit
        self.changed = Condition()
        self.waiting = deque()
        self.thread = None
        self.stopping = False

    async def submit(self, room_id, author, text, client_id=None):
        """Return the `Message`, once it is committed.

        A `client_id` that this author has used before returns what was stored then.
        Raises `Busy`, `Archived`, `NotAMember`, `Room.DoesNotExist`, or the database's
        error; then nothing is stored, unless the database was lost during the commit.
        The same `client_id` makes trying again safe in any case.
        """
        stored = asyncio.get_running_loop().create_future()
        name = author.get_username()
        self._enqueue(Submission(room_id, author.pk, name, text, client_id, stored))
        return await stored

    async def edit(self, room_id, user, seq, text):
        """Give a message another text; return it, once that is committed.

        Raises `Busy`, `Archived`, `NotAMember`, `NotYours`, `Message.DoesNotExist`,
        `Room.DoesNotExist`, or the database's error; then nothing is changed. Safe to
        try again: the same text changes nothing.
        """
        return await self._change(room_id, user, seq, text)

    async def delete(self, room_id, user, seq):
        """Take the text out of a message; return it. As `edit`; staff may, too."""
        return await self._change(room_id, user, seq, None)

    async def _change(self, room_id, user, seq, text):
        stored = asyncio.get_running_loop().create_future()
        self._enqueue(Change(room_id, seq, user, text, stored))
        return await stored

    def stop(self):
        """Store what waits, then end the thread. The next message starts it anew."""
        with self.changed:
            thread = self.thread
            self.stopping = thread is not None
            self.changed.notify()
        if thread is not None:
            thread.join()

    def _enqueue(self, submission):
        with self.changed:
            if len(self.waiting) >= self.LIMIT:
                raise Busy
            self.waiting.append(submission)
            if self.thread is None:
                self.thread = Thread(target=self._run, name="chat-ledger", daemon=True)
                self.thread.start()
            self.changed.notify()

    def _run(self):
        try:
            while batch := self._take():
                self._settle(batch, store(batch))
        finally:
            connection.close()

    def _take(self):
        """Wait for messages; an empty list ends the thread."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.stopping)
            if not self.waiting:
                self.thread, self.stopping = None, False
            size = min(len(self.waiting), self.BATCH)
            return [self.waiting.popleft() for _ in range(size)]

    def _settle(self, batch, outcomes):
        by_loop = {}
        for submission, outcome in zip(batch, outcomes, strict=True):
            loop = submission.stored.get_loop()
            by_loop.setdefault(loop, []).append((submission.stored, outcome))
        for loop, settled in by_loop.items():
            try:
                loop.call_soon_threadsafe(self._resolve, settled)
            except RuntimeError:
                logger.warning("Stored messages of an event loop that has closed")

    def _resolve(self, settled):
        for future, outcome in settled:
            if future.done():  # its consumer was cancelled
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        # After these, so that no failure of it keeps a sender waiting; they go on only
        # when it is done.
        if messages := [o for _, o in settled if isinstance(o, Message)]:
            self.on_commit(messages)


def store(batch):
    """Store submissions; return a `Message` or an exception for each.

    A row that the database refuses, such as one whose author was deleted a moment
    ago, must not cost the others: the batch is halved until it stands alone.
    """
    try:
        with taking_turns(), transaction.atomic():
            return write(batch)
    except (IntegrityError, DataError) as error:
        if len(batch) == 1:
            return [error]
        half = len(batch) // 2
        return store(batch[:half]) + store(batch[half:])
    except Exception as error:
        # Whatever it was, those who wait must hear of it and the thread must live.
        logger.exception("%d messages were not stored", len(batch))
        connection.close()
        return [error] * len(batch)


def write(batch):
    """Number and store submissions and changes, inside a transaction that ends soon."""
    heads = Room.objects.heads({one.room_id for one in batch})
    # Asked after the lock, so that a retry through another process is found.
    posts = [one for one in batch if isinstance(one, Submission)]
    stored = Message.objects.already_stored({p.identity for p in posts if p.client_id})
    changes = {(one.room_id, one.seq) for one in batch if isinstance(one, Change)}
    there = Message.objects.numbered(changes)
    staff = staff_among({one.user.pk for one in batch if is_moderation(one, there)})
    closed = {one.place for one in batch if is_closed(heads.get(one.room_id))}
    members = Membership.objects.of(closed)
    now = timezone.now()
    outcomes, new, changed = [], [], {}
    for one in batch:
        head = heads.get(one.room_id)
        if head is None:
            outcome = Room.DoesNotExist()
        elif one.place in closed and one.place not in members:
            outcome = NotAMember()
        elif isinstance(one, Change):
            message = there.get((one.room_id, one.seq))
            outcome = _changed(message, one, head, now, staff)
            if isinstance(outcome, Message):
                changed[outcome.pk] = outcome
        else:
            outcome = stored.get(one.identity)
            if outcome is None and head.is_archived:
                outcome = Archived()
            elif outcome is None:
                outcome = next_message(head, one, now)
                new.append(outcome)
                if one.client_id:
                    stored[one.identity] = outcome
        outcomes.append(outcome)
    if new:
        Message.objects.insert(new)
    if changed:
        Message.objects.update_changed(list(changed.values()))
    if new or changed:
        Mention.objects.write(new, list(changed.values()))
        Room.objects.advance(heads.values())
    return outcomes


def is_closed(head):
    """Whether only members may write in a room."""
    return head is not None and not head.is_open


def is_moderation(one, there):
    """Whether it is a deletion of what somebody else said, of those that are there."""
    if not isinstance(one, Change) or not one.deletes:
        return False
    message = there.get((one.room_id, one.seq))
    return message is not None and message.author_id != one.user.pk


def staff_among(user_ids):
    """Those of some users who are staff now: what a socket knows of its user may be
    days old."""
    if not user_ids:
        return set()
    staff = get_user_model().objects.filter(pk__in=user_ids, is_staff=True)
    return set(staff.values_list("pk", flat=True))


def _changed(message, change, head, now, staff):
    """The message as a change leaves it, or why it must not."""
    if message is None:
        return Message.DoesNotExist()
    if head.is_archived and change.text is not None:
        return Archived()
    try:
        change.apply(message, head, now, staff)
    except (NotYours, Message.DoesNotExist) as error:
        return error
    return message


def next_message(head, submission, sent_at):
    """Return an unsaved message with the room's next numbers."""
    head.last_seq += 1
    head.last_rev += 1
    return Message(
        room_id=head.room_id,
        seq=head.last_seq,
        rev=head.last_rev,
        author_id=submission.author_id,
        author_name=submission.author_name,
        client_id=submission.client_id,
        text=submission.text,
        sent_at=sent_at,
    )


def tell_hub(messages):
    """Bring committed messages to the members of this event loop, and beyond."""
    local_hub().committed(messages)


ledger = Ledger(on_commit=tell_hub)
atexit.register(ledger.stop)
