"""How far the journal of a process has been stored, and whose connections are in it."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import transaction

from monitor.models import Connection, Gap, Process, client_text
from monitor.turns import taking_turns

from .capture import key_text
from .gaps import Loss, write_gap

Row = dict[str, Any]


class TakenForLost(Exception):
    """The rows of this process were closed, because nothing was heard of it."""


class Identity(NamedTuple):
    """Whose connection it is: what each of its events carries."""

    user_id: str | None
    username: str
    path: str
    client: str


NOBODY = Identity(None, "", "", "")


@dataclass
class Progress:
    """How far the journal of a process has been stored."""

    process_id: str
    seq: int = 0  # of the last event that is in the database
    identities: dict[str, Identity] = field(default_factory=dict)
    # A live process hands in the counts of its connections itself. Those of a dead
    # one are only in its journal.
    is_replay: bool = False
    # Whether the last attempt failed. Its commit may have succeeded nevertheless.
    in_doubt: bool = False

    def resolve(self) -> None:
        """Ask the database how far it has come, after a failure. One query.

        The number is stored with the rows, so it tells whether they are there.
        """
        process = Process.objects.filter(pk=self.process_id)
        stored = process.values_list("stored_seq", flat=True).first()
        self.seq = max(self.seq, stored or 0)

    def pass_over(self, seq: int, lost: int) -> None:
        """Go on behind `seq`, without an event of this number; `lost` is how many."""
        now = time.time_ns() // 1000
        self.in_doubt = True
        with taking_turns(), transaction.atomic():
            if lost > 0:
                write_gap(self.process_id, Gap.Kind.DROPPED, Loss(now, now, lost))
            self.reach(seq)
        self.seq, self.in_doubt = seq, False

    def reach(self, seq: int) -> None:
        """Note in the database, in the transaction of what it is about, how far it
        has come. `TakenForLost` if others have closed what this process holds: what it
        wrote after that would be open and closed at once."""
        process = Process.objects.filter(pk=self.process_id)
        if not self.is_replay:
            process = process.filter(stopped_at=None)
        if not process.update(stored_seq=seq) and not self.is_replay:
            raise TakenForLost

    def meet(self, connection_id: str, row: Row) -> None:
        """Get to know a connection by its row. ValueError if its id is no UUID."""
        uuid.UUID(connection_id)  # SQLite would take anything
        self.identities[connection_id] = _identity(row)

    def identity(self, connection_id: str) -> Identity:
        """Whose connection it is; asks the database once, if its row is older."""
        if connection_id not in self.identities:
            self.identities[connection_id] = _stored_identity(connection_id)
        return self.identities[connection_id]


def _identity(row: Row) -> Identity:
    client = client_text(row["client_host"], row["client_port"])
    return Identity(row["user_id"], row["username"], row["path"], client)


def _stored_identity(connection_id: str) -> Identity:
    """The identity of a connection that was stored before. One query."""
    names = ("user_id", "username", "path", "client_host", "client_port")
    rows = Connection.objects.filter(pk=uuid.UUID(connection_id))
    row = rows.values(*names).first()
    if row is None:
        return NOBODY  # its row was set aside
    user_id = None if row["user_id"] is None else key_text(row["user_id"])
    return _identity(row | {"user_id": user_id})
