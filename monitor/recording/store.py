"""Journal lines become rows: one transaction for a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import DataError, IntegrityError, connection, transaction

from monitor.models import Connection, Event

from . import statements

EVENT_FIELDS = [
    *("process_id", "seq", "connection_id", "kind", "at", "user_id", "username"),
    *("path", "client", "text", "size", "code", "detail"),
]
CONNECTION_FIELDS = [
    *("id", "process_id", "user_id", "username", "path", "route", "route_args"),
    *("consumer", "client_host", "client_port", "user_agent", "origin"),
    *("subprotocol", "session_hash", "scope", "opened_at", "active_at", "cause"),
    *("detail", "messages_in", "messages_out", "bytes_in", "bytes_out"),
]
COUNTS = ("messages_in", "messages_out", "bytes_in", "bytes_out")
FIRST = "COALESCE(old.{0}, new.{0})"
# The first end is the true one; what a replayed journal says later changes nothing.
UNTIL_CLOSED = "CASE WHEN old.closed_at IS NULL THEN {} ELSE old.{} END"
ASSIGNMENTS = {
    "accepted_at": FIRST.format("accepted_at"),
    "subprotocol": "COALESCE(new.subprotocol, old.subprotocol)",
    "session_expires_at": FIRST.format("session_expires_at"),
    "closed_at": FIRST.format("closed_at"),
    "close_code": UNTIL_CLOSED.format("new.close_code", "close_code"),
    "cause": UNTIL_CLOSED.format("COALESCE(new.cause, old.cause)", "cause"),
    "detail": UNTIL_CLOSED.format("COALESCE(new.detail, old.detail)", "detail"),
    **{
        name: f"{{greatest}}(old.{name}, new.{name})" for name in ("active_at", *COUNTS)
    },
}
ENDS = (Event.Kind.DISCONNECT, Event.Kind.REJECT, Event.Kind.ERROR)
Row = dict[str, Any]


class UnreadableLine(ValueError):
    """A line of a journal that no version of this code has written."""


@dataclass
class Batch:
    """What some journal lines amount to: rows for each table."""

    events: list[Row] = field(default_factory=list)
    connections: list[Row] = field(default_factory=list)
    patches: dict[str, Row] = field(default_factory=dict)

    def add(self, process_id: str, record: Row) -> None:
        """Take in one line of the journal of a process."""
        event = {
            **dict.fromkeys(("username", "path", "client", "text", "detail"), ""),
            "size": 0,
            **record,
            "process_id": process_id,
        }
        self.events.append(event)
        if "row" in record:
            self.connections.append(_connection(event))
        patch = self.patch(record["connection_id"], record["at"], record["counts"])
        patch.update(_patch(record))

    def patch(self, connection_id: str, active_at: int, counts: Iterable[int]) -> Row:
        """The patch of a connection, its counts brought up to date."""
        patch = self.patches.setdefault(connection_id, {"id": connection_id})
        patch["active_at"] = active_at
        patch.update(zip(COUNTS, counts, strict=True))
        return patch

    @property
    def opens_or_closes(self) -> bool:
        """Whether the list of live connections looks different after it."""
        return bool(self.connections) or any(
            "closed_at" in patch or "accepted_at" in patch
            for patch in self.patches.values()
        )

    def write(self) -> None:
        """Write everything, with three statements."""
        statements.insert(connection, Connection, CONNECTION_FIELDS, self.connections)
        statements.insert(connection, Event, EVENT_FIELDS, self.events)
        patches = list(self.patches.values())
        statements.update(connection, Connection, ASSIGNMENTS, patches)


def fold(process_id: str, lines: Iterable[bytes]) -> Batch:
    """Turn lines of the journal of a process into rows. UnreadableLine."""
    batch = Batch()
    for line in lines:
        try:
            batch.add(process_id, orjson.loads(line))
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise UnreadableLine(f"{type(error).__name__}: {error}") from error
    return batch


def store(
    process_id: str,
    lines: list[bytes],
    complete: Callable[[Batch], None],
    set_aside: Callable[[bytes, Exception], None],
) -> bool:
    """Store lines in one transaction; True if connections opened or closed.

    `complete` may add to the batch before it is written. A line that the database
    refuses is handed to `set_aside` with the reason, and all others are stored.
    Raises OperationalError and InterfaceError: then nothing is wrong with the lines.
    """
    try:
        batch = fold(process_id, lines)
        with transaction.atomic():
            complete(batch)
            batch.write()
    except (DataError, IntegrityError, UnreadableLine) as error:
        if len(lines) == 1:
            set_aside(lines[0], error)
            return False
        middle = len(lines) // 2
        first = store(process_id, lines[:middle], complete, set_aside)
        second = store(process_id, lines[middle:], complete, set_aside)
        return first or second
    return batch.opens_or_closes


def _connection(event: Row) -> Row:
    zeros = dict.fromkeys(COUNTS, 0)
    texts = {"subprotocol": "", "cause": "", "detail": ""}
    return {
        **zeros,
        **texts,
        **event["row"],
        "id": event["connection_id"],
        "process_id": event["process_id"],
        "opened_at": event["at"],
        "active_at": event["at"],
    }


def _patch(record: Row) -> Row:
    if record["kind"] == Event.Kind.ACCEPT:
        return {"accepted_at": record["at"], "subprotocol": record["subprotocol"]}
    if record["kind"] in ENDS:
        return {
            "closed_at": record["at"],
            "close_code": record["code"],
            "cause": record["cause"],
            "detail": record["detail"],
        }
    return {}
