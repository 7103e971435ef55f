"""Journal lines become rows: one transaction for a batch."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import F

from monitor.models import Connection, Event, Gap, Process, Trace, client_text
from monitor.turns import taking_turns

from . import lines, statements
from .capture import key_text

Kind = Event.Kind
FULL = Event.Omission.FULL.value

MESSAGE_FIELDS = [
    *("connection_id", "seq", "kind", "at", "user_id", "username", "path", "client"),
    *("text", "size", "omission", "trace_id", "handler_us"),
]
EVENT_FIELDS = [*MESSAGE_FIELDS, "about_seq", "code", "detail"]
HANDLER_US = MESSAGE_FIELDS.index("handler_us")
CONNECTION_FIELDS = [
    *("id", "process_id", "user_id", "username", "path", "route", "route_args"),
    *("consumer", "client_host", "client_port", "user_agent", "origin"),
    *("subprotocol", "session_hash", "scope", "opened_at", "active_at", "cause"),
    *("detail", "messages_in", "messages_out", "bytes_in", "bytes_out"),
]
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
        name: f"{{greatest}}(old.{name}, COALESCE(new.{name}, old.{name}))"
        for name in ("active_at", *lines.COUNTS)
    },
}
ENDS = (Kind.DISCONNECT, Kind.REJECT, Kind.ERROR)
SLICE = 100  # lines taken in at a time
SAME_GAP = timedelta(seconds=60)  # what is lost within it belongs to one gap
Row = dict[str, Any]


class UnreadableLine(ValueError):
    """A line of a journal that no version of this code has written."""


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

    def identity(self, connection_id: str) -> Identity:
        """Whose connection it is; asks the database once, if its row is older."""
        if connection_id not in self.identities:
            self.identities[connection_id] = _stored_identity(connection_id)
        return self.identities[connection_id]


@dataclass
class Loss:
    """Events that were not kept, or not whole."""

    began_at: int  # microseconds since 1970
    ended_at: int
    count: int = 0


@dataclass
class Batch:
    """What some journal lines amount to: rows for each table."""

    progress: Progress
    messages: list[list[Any]] = field(default_factory=list)
    events: list[list[Any]] = field(default_factory=list)
    connections: list[Row] = field(default_factory=list)
    patches: dict[str, Row] = field(default_factory=dict)
    handler_times: list[Row] = field(default_factory=list)
    losses: dict[Gap.Kind, Loss] = field(default_factory=dict)
    traced: dict[int, int] = field(default_factory=dict)  # bytes by trace
    ended: list[str] = field(default_factory=list)
    opens_or_closes: bool = False
    seq: int = 0
    last_at: int = 0
    _by_seq: dict[int, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.seq = self.progress.seq

    def add(self, line: lines.Message | lines.Event) -> None:
        """Take in a line of the journal."""
        if type(line) is list:
            self._add_message(line)
        elif type(line) is dict:
            self._add_event(line)
        else:
            raise TypeError(f"a line is an object or an array, not {line!r:.50}")

    def took(self, connection_id: str, seq: int | None, handler_us: int | None) -> None:
        """Note how long the application had a message in its hands."""
        if seq is None:
            return
        if row := self._by_seq.get(seq):
            row[HANDLER_US] = handler_us
        else:
            time = {"connection_id": connection_id, "seq": seq}
            self.handler_times.append(time | {"handler_us": handler_us})

    def patch(self, connection_id: str, active_at: int, counts: Iterable[int]) -> Row:
        """The patch of a connection, its counts brought up to date."""
        patch = self._patch(connection_id)
        patch["active_at"] = active_at
        patch.update(zip(lines.COUNTS, counts, strict=True))
        return patch

    def expire(self, connection_id: str, at: datetime) -> None:
        """Note when the session of a connection ends."""
        self._patch(connection_id)["session_expires_at"] = at

    def write(self) -> None:
        """Write everything, with one statement for each table."""
        rows = [[row.get(n) for n in CONNECTION_FIELDS] for row in self.connections]
        statements.insert(connection, Connection, CONNECTION_FIELDS, rows)
        statements.insert(connection, Event, MESSAGE_FIELDS, self.messages)
        statements.insert(connection, Event, EVENT_FIELDS, self.events)
        patches = list(self.patches.values())
        statements.update(connection, Connection, ASSIGNMENTS, patches)
        statements.update(
            connection,
            Event,
            {"handler_us": "new.handler_us"},
            self.handler_times,
            key=("connection_id", "seq"),
        )
        for trace_id, size in self.traced.items():
            Trace.objects.filter(pk=trace_id).update(bytes_kept=F("bytes_kept") + size)
        for kind, loss in self.losses.items():
            _write_gap(self.progress.process_id, kind, loss)
        if self.seq > self.progress.seq:
            process = Process.objects.filter(pk=self.progress.process_id)
            process.update(stored_seq=self.seq)

    def _add_message(self, line: lines.Message) -> None:
        seq, key, kind, at, n_in, n_out, b_in, b_out, *rest = line
        text, size, omission, trace_id, handled_seq, handler_us = rest
        # The usual case first: the next one of a connection that is known.
        if seq == self.seq + 1:
            self.seq, self.last_at, is_new = seq, at, True
        else:
            is_new = self._is_new(seq, at)
        if is_new:
            identity = self.progress.identities.get(key) or self.progress.identity(key)
            row = [key, seq, kind, at, *identity, text, size, omission, trace_id, None]
            self._by_seq[seq] = row
            self.messages.append(row)
            if omission == FULL:
                self._lose(Gap.Kind.PAYLOAD, at, at, 1)
            if trace_id is not None:
                self.traced[trace_id] = self.traced.get(trace_id, 0) + len(text)
        if handled_seq is not None:
            if handled := self._by_seq.get(handled_seq):
                handled[HANDLER_US] = handler_us
            else:
                self.took(key, handled_seq, handler_us)
        if self.progress.is_replay:
            self.patch(key, at, (n_in, n_out, b_in, b_out))

    def _add_event(self, line: lines.Event) -> None:
        seq, key, at = line["seq"], line["id"], line["at"]
        if "row" in line:
            uuid.UUID(key)  # or ValueError: SQLite would take anything
            self.progress.identities[key] = _identity(line["row"])
        if self._is_new(seq, at):
            row = [
                *(key, seq, line["kind"], at, *self.progress.identity(key)),
                *(line.get("text", ""), line.get("size", 0)),
                *(line.get("omission", ""), None, None),
                *(line.get("about_seq"), line.get("code"), line.get("detail", "")),
            ]
            self._by_seq[seq] = row
            self.events.append(row)
            if "row" in line:
                self.connections.append(_connection(self.progress.process_id, line))
        self.took(key, *line["took"])
        if change := _change(line):
            self.patch(key, at, line["counts"]).update(change)
        elif self.progress.is_replay:
            self.patch(key, at, line["counts"])
        self.opens_or_closes |= bool(change) or "row" in line
        if "cause" in line:
            self.ended.append(key)

    def _is_new(self, seq: int, at: int) -> bool:
        """Whether an event is not stored yet; notes those that were left out."""
        if seq > self.seq + 1:
            began_at = self.last_at or at
            self._lose(Gap.Kind.DROPPED, began_at, at, seq - self.seq - 1)
        self.last_at = at
        if seq <= self.seq:
            return False
        self.seq = seq
        return True

    def _lose(self, kind: Gap.Kind, began_at: int, ended_at: int, count: int) -> None:
        loss = self.losses.setdefault(kind, Loss(began_at, ended_at))
        loss.count += count
        loss.ended_at = ended_at

    def _patch(self, connection_id: str) -> Row:
        return self.patches.setdefault(connection_id, {"id": connection_id})


def store(
    progress: Progress,
    texts: list[bytes],
    complete: Callable[[Batch], None] = lambda batch: None,
    set_aside: Callable[[bytes, Exception], None] = lambda line, reason: None,
) -> bool:
    """Store lines in one transaction; True if connections opened or closed.

    `complete` may add to the batch before it is written. A line that the database
    refuses is handed to `set_aside` with the reason, and all others are stored.
    Raises OperationalError and InterfaceError: then nothing is wrong with the lines.
    """
    try:
        batch = _folded(progress, texts)
        complete(batch)
        with taking_turns(), transaction.atomic():
            batch.write()
    except (DataError, IntegrityError, UnreadableLine) as error:
        if len(texts) > 1:
            middle = len(texts) // 2
            first = store(progress, texts[:middle], complete, set_aside)
            second = store(progress, texts[middle:], complete, set_aside)
            return first or second
        for text in texts:
            set_aside(text, error)
            progress.seq = max(progress.seq, _seq_of(text))
        return False
    progress.seq = batch.seq
    for connection_id in batch.ended:
        progress.identities.pop(connection_id, None)
    return batch.opens_or_closes


def _folded(progress: Progress, texts: list[bytes]) -> Batch:
    batch = Batch(progress)
    try:
        for start in range(0, len(texts), SLICE):
            some = texts[start : start + SLICE]
            for line in orjson.loads(b"[%s]" % b",".join(some)):
                batch.add(line)
            time.sleep(0)  # lets the event loop have the interpreter in between
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableLine(f"{type(error).__name__}: {error}") from error
    return batch


def _seq_of(line: bytes) -> int:
    """The number of an event that is set aside; 0 if it does not even have one."""
    try:
        content = orjson.loads(line)
        seq = content[lines.SEQ] if isinstance(content, list) else content["seq"]
    except (LookupError, TypeError, ValueError):
        return 0
    return seq if isinstance(seq, int) else 0


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


def _connection(process_id: str, record: Row) -> Row:
    zeros = dict.fromkeys(lines.COUNTS, 0)
    texts = {"subprotocol": "", "cause": "", "detail": ""}
    return {
        **zeros,
        **texts,
        **record["row"],
        "id": record["id"],
        "process_id": process_id,
        "opened_at": record["at"],
        "active_at": record["at"],
    }


def _change(record: Row) -> Row:
    """What an event other than a message changes on the row of its connection."""
    if record["kind"] == Kind.ACCEPT:
        return {"accepted_at": record["at"], "subprotocol": record["subprotocol"]}
    if record["kind"] in ENDS and "cause" in record:
        return {
            "closed_at": record["at"],
            "close_code": record["code"],
            "cause": record["cause"],
            "detail": record["detail"],
        }
    return {}


def _write_gap(process_id: str, kind: Gap.Kind, loss: Loss) -> None:
    """Note a loss, together with what was lost shortly before."""
    began_at, ended_at = _moment(loss.began_at), _moment(loss.ended_at)
    before = Gap.objects.filter(
        process_id=process_id, kind=kind, ended_at__gte=began_at - SAME_GAP
    ).first()
    if before is None:
        facts = {"began_at": began_at, "ended_at": ended_at, "count": loss.count}
        Gap.objects.create(process_id=process_id, kind=kind, **facts)
    else:
        Gap.objects.filter(pk=before.pk).update(
            count=F("count") + loss.count, ended_at=ended_at
        )


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)
