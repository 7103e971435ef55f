"""What the writer's thread does for this process, turn by turn."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import orjson
from django.conf import settings as django_settings
from django.db import Error
from django.db.models import F

from monitor.conf import settings
from monitor.models import Connection, Process
from monitor.recording import retention
from monitor.recording.journal import READ_SIZE, Chunk, Journal
from monitor.recording.recorder import Recorder
from monitor.recording.rules import Rules
from monitor.recording.store import Batch, Progress, store
from monitor.recording.writer import Writer
from monitor.scope import session_expiries
from monitor.turns import taking_turns

from . import heartbeat, recovery
from .commands import Commands
from .orders import Orders
from .registry import Registry
from .ticks import Ticker
from .traffic import Traffic

logger = logging.getLogger("channelscope.monitor")

PRUNE_AFTER = 60.0  # seconds from the start
MEND_INTERVAL = 30.0  # seconds
COUNTING_SHARE = 4  # counts rest for this many times as long as storing them took
MANY = 250  # lines; from here on, larger batches cost less than they delay
LONGER = 5  # times that what waits may then gather
SET_ASIDE_LIMIT = 16 * 2**20  # bytes; the file before it is kept, too
SET_ASIDE = "set-aside.jsonl"


class Served(Protocol):
    """The process whose duties these are, as far as they need it."""

    id: uuid.UUID
    identity: dict[str, Any]
    directory: Path
    journal: Journal
    registry: Registry
    commands: Commands
    ticker: Ticker
    writer: Writer
    asked: bool
    stopping: bool
    messages_in: int
    messages_out: int
    rules: Rules
    dropped: int
    shed: int
    failures: int
    set_aside: int

    def take_over_dead(self) -> Iterator[bool]: ...


class Duties:
    """Stores the journal and the counts, renews the lease, sees to what staff ask."""

    def __init__(self, process: Served) -> None:
        self.process = process
        self.position = process.journal.start()
        self.progress = Progress(process.id.hex)
        self.orders = Orders()
        self.traffic = Traffic()
        self._registered = False
        self._counted = False
        self._recovery: Iterator[bool] | None = None
        self._missing: set[uuid.UUID] = set()
        self._pruning: Iterator[retention.Chunk] | None = None
        self._prune_due_at = time.monotonic() + PRUNE_AFTER
        self._mend_due_at = 0.0
        self._traffic_is_new = False
        self._traffic_told_at = 0  # seconds since 1970
        self._beat_due_at = 0.0
        self._counts_due_at = 0.0

    def turn(self) -> bool:
        """Store a batch, then see to everything else; True if more may wait."""
        process = self.process
        if not self._registered:
            heartbeat.register(process.id, process.identity)
            self._registered = True

        chunk, presence = self._store_batch()
        self._count_traffic()
        process.rules = self.orders.look(process.rules, at_once=process.asked)
        answered = self._see_to_actions()
        presence |= self._recover_some()
        self._prune_some()
        if process.stopping and not chunk.lines:
            self._end()
        elif time.monotonic() >= self._beat_due_at:
            presence |= self._mend()
            self._beat()
        if chunk.lines or answered or presence or self._counted:
            process.ticker.tick(presence)
        return self._has_more(chunk)

    def _has_more(self, chunk: Chunk) -> bool:
        """Whether to go on at once; a little may wait for others."""
        if self.process.stopping:
            return bool(chunk.lines)
        waiting = self.process.journal.waiting
        if waiting and chunk.lines:
            self.process.writer.wake()
        return waiting >= READ_SIZE // 8 or self._recovery is not None

    def store(self, progress: Progress, lines: list[bytes]) -> bool:
        """Store lines of the journal of a dead process."""
        return store(progress, lines, set_aside=self._set_aside)

    def _store_batch(self) -> tuple[Chunk, bool]:
        """Store what waits; return it, and whether connections opened or closed."""
        process = self.process
        chunk = process.journal.read(self.position)
        touched = self._take_touched()
        self._counted = bool(touched)
        if not (chunk.lines or touched):
            return chunk, False

        def complete(batch: Batch) -> None:
            for recorder in touched:
                batch.patch(recorder.key, recorder.active_at, recorder.counts())
                batch.took(recorder.key, recorder.handled_seq, recorder.handler_us)
            self._note_session_ends(batch)
            opened.extend(row["id"] for row in batch.connections)

        opened: list[str] = []
        started_at = time.monotonic()
        try:
            presence = store(self.progress, chunk.lines, complete, self._set_aside)
        except Error:
            process.registry.touched.update(touched)
            raise
        if touched:
            took = time.monotonic() - started_at
            self._counts_due_at = time.monotonic() + COUNTING_SHARE * took
        process.registry.forget_sessions(opened)
        self._stored_until(chunk)
        busy = len(chunk.lines) > MANY
        process.writer.pause = settings.BATCH_INTERVAL * (LONGER if busy else 1)
        return chunk, presence

    def _note_session_ends(self, batch: Batch) -> None:
        opened = [row["id"] for row in batch.connections]
        ends = _session_ends(self.process.registry.sessions(opened))
        for key, expires_at in ends.items():
            batch.expire(key, expires_at)

    def _take_touched(self) -> set[Recorder]:
        """The connections whose counts are to be stored now.

        Thousands of them would keep this thread busy in every turn, so counts rest
        in proportion to what storing them costs.
        """
        if not self.process.registry.touched:
            return set()
        if time.monotonic() < self._counts_due_at and not self.process.stopping:
            self.process.writer.wake()
            return set()
        return self.process.registry.take_touched()

    def _stored_until(self, chunk: Chunk) -> None:
        self.process.journal.stored += chunk.size
        self.position = chunk.end
        if not self.process.registry.touched or self._counted:
            # Older lines have nothing left to say. Before that, they are what tells
            # the counts of connections if this process dies.
            self.process.journal.forget(chunk.end)

    def _count_traffic(self) -> None:
        process = self.process
        now = int(time.time())
        if self.traffic.count(process.messages_in, process.messages_out, now):
            self._traffic_is_new = True
        if self._traffic_is_new and now != self._traffic_told_at:
            with taking_turns():
                heartbeat.report(process.id, traffic=self.traffic.as_json())
            self._traffic_is_new, self._traffic_told_at = False, now

    def _see_to_actions(self) -> bool:
        """Begin what staff asked, and write what came of it; True if anything did."""
        loop = self.process.ticker.loop
        due = self.process.asked or time.monotonic() >= self._beat_due_at
        if due and loop is not None and loop.is_running():
            self.process.asked = False
            self.process.commands.look(loop)
        return self.process.commands.write_answers()

    def _beat(self) -> None:
        process = self.process
        with taking_turns():
            heartbeat.beat(
                process.id,
                journal_bytes=process.journal.waiting,
                dropped=process.dropped,
                shed=process.shed,
                failures=process.failures,
                set_aside=process.set_aside,
            )
        self._beat_due_at = time.monotonic() + settings.HEARTBEAT_INTERVAL

    def _recover_some(self) -> bool:
        """Take over a piece of what a dead process left; True if it was the last."""
        if self._recovery is None:
            if self.process.stopping or time.monotonic() < self._beat_due_at:
                return False
            self._recovery = self.process.take_over_dead()
        try:
            done = next(self._recovery)
        except StopIteration:
            self._recovery = None
            return False
        except Error:
            self._recovery = None
            raise
        return done

    def _prune_some(self) -> None:
        """Delete a little of what is too old, if nobody else does."""
        if self._pruning is None:
            if self.process.stopping or time.monotonic() < self._prune_due_at:
                return
            self._prune_due_at = time.monotonic() + settings.PRUNE_INTERVAL
            eldest = Process.objects.alive().order_by("started_at", "pk").first()
            if eldest is None or eldest.pk != self.process.id:
                return
            self._pruning = retention.prune()
        try:
            next(self._pruning)
        except StopIteration:
            self._pruning = None
        except Error:
            self._pruning = None
            raise
        else:
            self.process.writer.wake()

    def _mend(self) -> bool:
        """Close rows whose connections are not held here any more; True if any.

        Their end could not be written, on a full disk for example. An end that is
        only on its way has arrived by the second look.
        """
        if time.monotonic() < self._mend_due_at:
            return False
        self._mend_due_at = time.monotonic() + MEND_INTERVAL
        rows = Connection.objects.open().filter(process_id=self.process.id)
        held = self.process.registry
        missing = {key for key in rows.values_list("pk", flat=True) if key not in held}
        drifted = missing & self._missing
        self._missing = missing - drifted
        detail = "mended: its end could not be recorded"
        rows.filter(pk__in=drifted).update(
            closed_at=F("active_at"), cause=Connection.Cause.LOST, detail=detail
        )
        self.process.failures += len(drifted)
        return bool(drifted)

    def _end(self) -> None:
        """Say that this process stops. Whatever it held is closed by now."""
        self._beat()
        recovery.close_open(self.process.id, Connection.Cause.SERVER, "")
        heartbeat.end(self.process.id, lost=False)

    def _set_aside(self, line: bytes, reason: Exception) -> None:
        """Keep a line that the database refuses, with the reason."""
        if not self.process.set_aside:
            logger.error("Something cannot be stored and is set aside: %s", reason)
        self.process.set_aside += 1
        kept = {
            "reason": f"{type(reason).__name__}: {reason}",
            "line": line.decode("utf-8", "replace"),
        }
        path = self.process.directory / SET_ASIDE
        path.touch(mode=0o600)  # it has texts of messages
        if path.stat().st_size > SET_ASIDE_LIMIT:
            path.replace(path.with_suffix(".old.jsonl"))
        with open(path, "ab") as file:
            file.write(orjson.dumps(kept) + b"\n")


def _session_ends(sessions: dict[str, str]) -> dict[str, datetime]:
    """When sessions end, by the connection's key. One query."""
    if not sessions:
        return {}
    session_store = import_module(django_settings.SESSION_ENGINE).SessionStore
    expiries = session_expiries(session_store, sorted(set(sessions.values())))
    return {
        key: expiries[session]
        for key, session in sessions.items()
        if session in expiries
    }
