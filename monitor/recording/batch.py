"""What some journal lines amount to: rows for each table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F

from monitor.models import Connection, Event, Gap, Trace

from . import lines, statements
from .gaps import Loss, write_gap
from .progress import Progress

Kind = Event.Kind
FULL, RECEIVE = Event.Omission.FULL.value, Kind.RECEIVE.value

MESSAGE_FIELDS = [
    *("connection_id", "seq", "kind", "at", "user_id", "username", "path", "client"),
    *("text", "size", "omission", "trace_id", "handler_us"),
]
EVENT_FIELDS = [*MESSAGE_FIELDS, "about_seq", "code", "detail"]
SEQ, HANDLER_US = MESSAGE_FIELDS.index("seq"), MESSAGE_FIELDS.index("handler_us")
CONNECTION_FIELDS = [
    *("id", "process_id", "user_id", "username", "path", "route", "route_args"),
    *("consumer", "client_host", "client_port", "user_agent", "origin"),
    *("subprotocol", "session_hash", "scope", "opened_at", "active_at", "cause"),
    *("detail", "messages_in", "messages_out", "bytes_in", "bytes_out"),
]
FIRST = "COALESCE(old.{0}, new.{0})"
# The first end is the true one, and what a replayed journal says later changes nothing;
# unless it was inferred, because a process was lost.
IS_NEWS = (
    "old.closed_at IS NULL "
    f"OR (old.cause = '{Connection.Cause.PROCESS.value}' AND new.closed_at IS NOT NULL)"
)
UNTIL_CLOSED = f"CASE WHEN {IS_NEWS} THEN {{}} ELSE old.{{}} END"
COUNTED = {
    name: f"{{greatest}}(old.{name}, COALESCE(new.{name}, old.{name}))"
    for name in ("active_at", *lines.COUNTS)
}
# Null until a person shows; SQLite's MAX is null if one of its arguments is.
COUNTED["heard_at"] = (
    "{greatest}(COALESCE(old.heard_at, new.heard_at), "
    "COALESCE(new.heard_at, old.heard_at))"
)
ASSIGNMENTS = {
    "accepted_at": FIRST.format("accepted_at"),
    "subprotocol": "COALESCE(new.subprotocol, old.subprotocol)",
    "session_expires_at": FIRST.format("session_expires_at"),
    "closed_at": UNTIL_CLOSED.format("new.closed_at", "closed_at"),
    "close_code": UNTIL_CLOSED.format("new.close_code", "close_code"),
    "cause": UNTIL_CLOSED.format("COALESCE(new.cause, old.cause)", "cause"),
    "detail": UNTIL_CLOSED.format("COALESCE(new.detail, old.detail)", "detail"),
    **COUNTED,
}
ENDS = (Kind.DISCONNECT, Kind.REJECT, Kind.ERROR)
Row = dict[str, Any]


@dataclass
class Batch:
    """What some journal lines amount to: rows for each table."""

    progress: Progress
    # The values of all messages in one list, by `MESSAGE_FIELDS`: thousands of small
    # lists would keep the garbage collector busy, which stops the event loop, too.
    messages: list[Any] = field(default_factory=list)
    # Where the handler's time belongs in it, by the number of the message.
    places: dict[int, int] = field(default_factory=dict)
    events: list[list[Any]] = field(default_factory=list)
    connections: list[Row] = field(default_factory=list)
    patches: dict[str, Row] = field(default_factory=dict)
    counts: list[Row] = field(default_factory=list)  # patches of nothing else
    handled: dict[int, int | None] = field(default_factory=dict)  # µs of other events
    handled_before: list[Row] = field(default_factory=list)  # in an older batch
    losses: dict[Gap.Kind, Loss] = field(default_factory=dict)
    traced: dict[int, int] = field(default_factory=dict)  # bytes by trace
    opened: list[str] = field(default_factory=list)  # also if that was stored before
    ended: list[str] = field(default_factory=list)
    opens_or_closes: bool = False
    seq: int = 0
    last_at: int = 0

    def __post_init__(self) -> None:
        self.seq = self.progress.seq
        self.moment = statements.time_converter(connection)

    def add(self, some: list[Any]) -> None:
        """Take in lines of the journal."""
        for line in some:
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
        if place := self.places.get(seq):
            self.messages[place] = handler_us
        elif seq > self.progress.seq:
            self.handled[seq] = handler_us
        else:
            row = {"connection_id": connection_id, "seq": seq}
            self.handled_before.append(row | {"handler_us": handler_us})

    def count(
        self,
        connection_id: str,
        active_at: int,
        heard_at: int | None,
        counts: Iterable[int],
    ) -> None:
        """Bring the counts of a connection up to date."""
        row = {"id": connection_id, "active_at": active_at, "heard_at": heard_at}
        self.counts.append(row | dict(zip(lines.COUNTS, counts, strict=True)))

    def patch(
        self,
        connection_id: str,
        active_at: int,
        heard_at: int | None,
        counts: Iterable[int],
    ) -> Row:
        """The patch of a connection, its counts brought up to date."""
        patch = self._patch(connection_id)
        patch["active_at"] = active_at
        patch["heard_at"] = heard_at or patch.get("heard_at")
        patch.update(zip(lines.COUNTS, counts, strict=True))
        return patch

    def expire(self, connection_id: str, at: datetime) -> None:
        """Note when the session of a connection ends."""
        self._patch(connection_id)["session_expires_at"] = at

    def write(self) -> None:
        """Write everything, with a few statements for each table."""
        again = self.progress.in_doubt
        rows = [[row.get(n) for n in CONNECTION_FIELDS] for row in self.connections]
        statements.insert(connection, Connection, CONNECTION_FIELDS, rows, again)
        statements.insert_ready(connection, Event, MESSAGE_FIELDS, self.messages, again)
        for row in self.events:
            row[HANDLER_US] = self.handled.get(row[SEQ])
        statements.insert(connection, Event, EVENT_FIELDS, self.events, again)
        patches = list(self.patches.values())
        statements.update(connection, Connection, ASSIGNMENTS, patches)
        statements.update(connection, Connection, COUNTED, self.counts)
        statements.update(
            connection,
            Event,
            {"handler_us": "new.handler_us"},
            self.handled_before,
            key=("connection_id", "seq"),
        )
        for trace_id, size in self.traced.items():
            Trace.objects.filter(pk=trace_id).update(bytes_kept=F("bytes_kept") + size)
        for kind, loss in self.losses.items():
            write_gap(self.progress.process_id, kind, loss)
        if self.seq > self.progress.seq:
            self.progress.reach(self.seq)

    def _add_message(self, line: lines.Message) -> None:
        seq, key, kind, at = line[:4]
        text, size, omission, traces, handled_seq, handler_us = line[8:14]
        # The usual case first: the next one of a connection that is known.
        if seq == self.seq + 1:
            self.seq, self.last_at, is_new = seq, at, True
        else:
            is_new = self._is_new(seq, at)
        if is_new:
            values = self.messages
            self.places[seq] = len(values) + HANDLER_US
            values += key, seq, kind, self.moment(at)
            values += self.progress.identities.get(key) or self.progress.identity(key)
            values += text, size, omission, traces and traces[0], None
            if omission == FULL:
                self._lose(Gap.Kind.PAYLOAD, at, at, 1)
            for trace_id in traces or ():
                cost = lines.trace_cost(size)
                self.traced[trace_id] = self.traced.get(trace_id, 0) + cost
        if handled_seq in self.places:
            self.messages[self.places[handled_seq]] = handler_us
        else:
            self.took(key, handled_seq, handler_us)
        if self.progress.is_replay:
            self.patch(key, at, _heard_at(line), line[4:8])

    def _add_event(self, line: lines.Event) -> None:
        seq, key, at = line["seq"], line["id"], line["at"]
        if "row" in line:
            self.progress.meet(key, line["row"])
            self.opened.append(key)
        if self._is_new(seq, at):
            row = [
                *(key, seq, line["kind"], at, *self.progress.identity(key)),
                *(line.get("text", ""), line.get("size", 0)),
                *(line.get("omission", ""), None, None),
                *(line.get("about_seq"), line.get("code"), line.get("detail", "")),
            ]
            self.events.append(row)
            if "row" in line:
                self.connections.append(_connection(self.progress.process_id, line))
        self.took(key, *line["took"])
        if change := _change(line):
            self.patch(key, at, line.get("heard_at"), line["counts"]).update(change)
        elif self.progress.is_replay:
            self.patch(key, at, line.get("heard_at"), line["counts"])
        self.opens_or_closes |= bool(change) or "row" in line
        if line["kind"] in ENDS:
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


def _heard_at(line: lines.Message) -> int | None:
    """When a person showed by a message; None if none did."""
    shows = line[2] == RECEIVE and lines.AUTOMATIC not in line[len(lines.MESSAGE) :]
    return line[3] if shows else None


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
