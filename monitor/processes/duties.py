"""What the writer's thread does for this process, turn by turn."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING

import orjson
from django.conf import settings as django_settings
from django.db import Error

from monitor.conf import settings
from monitor.recording.journal import Position
from monitor.recording.recorder import Recorder
from monitor.recording.store import Batch, store
from monitor.scope import session_expiries, session_key

from . import heartbeat
from .traffic import Traffic

if TYPE_CHECKING:
    from .local import LocalProcess

COUNTING_SHARE = 4  # counts rest for this many times as long as storing them took
SET_ASIDE = "set-aside.jsonl"


class Duties:
    """Stores the journal and the counts, renews the lease, sees to what staff ask."""

    def __init__(self, process: LocalProcess) -> None:
        self.process = process
        self.position = process.journal.start()
        self.traffic = Traffic()
        self._registered = False
        self._beat_due_at = 0.0
        self._counts_due_at = 0.0

    def turn(self) -> bool:
        """Store a batch, then see to everything else; True if more may wait."""
        if not self._registered:
            heartbeat.register(self.process.id, self.process.identity)
            self._registered = True

        lines, presence = self._store_batch()
        answered = self._see_to_actions()
        if self.process.stopping or time.monotonic() >= self._beat_due_at:
            presence |= self.process.recover() > 0
            self._beat()
        if lines or answered or presence:
            self.process.ticker.tick(presence)
        return lines

    def store(
        self, process_id: str, lines: list[bytes], touched: Iterable[Recorder] = ()
    ) -> bool:
        """Store journal lines and counts; True if connections opened or closed."""

        def complete(batch: Batch) -> None:
            for recorder in touched:
                batch.patch(recorder.key, recorder.active_at, recorder.counts())
            opened = (row["id"] for row in batch.connections)
            ends = _session_ends(self.process.registry.having(opened))
            for key, expires_at in ends.items():
                batch.patches[key]["session_expires_at"] = expires_at

        return store(process_id, lines, complete, self._set_aside)

    def _store_batch(self) -> tuple[bool, bool]:
        """Store what waits; tell whether anything did, and whether connections
        opened or closed."""
        lines, position = self.process.journal.read(self.position)
        touched = self._take_touched()
        if not (lines or touched):
            return False, False

        started_at = time.monotonic()
        try:
            presence = self.store(str(self.process.id), lines, touched)
        except Error:
            self.process.registry.touched.update(touched)
            raise
        if touched:
            took = time.monotonic() - started_at
            self._counts_due_at = time.monotonic() + COUNTING_SHARE * took
        self._stored_until(position, lines)
        self._count_traffic()
        return True, presence

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

    def _stored_until(self, position: Position, lines: list[bytes]) -> None:
        self.process.journal.stored += sum(len(line) + 1 for line in lines)
        if position.segment > self.position.segment:
            self.process.journal.forget(position)
        self.position = position

    def _count_traffic(self) -> None:
        process = self.process
        now = int(time.time())
        if self.traffic.count(process.messages_in, process.messages_out, now):
            heartbeat.report(process.id, traffic=self.traffic.as_json())

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
        heartbeat.beat(
            process.id,
            journal_bytes=process.journal.waiting,
            dropped=process.dropped,
            failures=process.failures,
            set_aside=process.set_aside,
        )
        if process.stopping:
            heartbeat.end(process.id, lost=False)
        self._beat_due_at = time.monotonic() + settings.HEARTBEAT_INTERVAL

    def _set_aside(self, line: bytes, reason: Exception) -> None:
        """Keep a line that the database refuses, with the reason."""
        self.process.set_aside += 1
        kept = {
            "reason": f"{type(reason).__name__}: {reason}",
            "line": line.decode("utf-8", "replace"),
        }
        with open(self.process.directory / SET_ASIDE, "ab") as file:
            file.write(orjson.dumps(kept) + b"\n")


def _session_ends(recorders: list[Recorder]) -> dict[str, datetime]:
    """When the sessions of connections end, by the connection's key. One query."""
    sessions = {
        recorder.key: key
        for recorder in recorders
        if (key := session_key(recorder.scope)) is not None
    }
    if not sessions:
        return {}
    session_store = import_module(django_settings.SESSION_ENGINE).SessionStore
    expiries = session_expiries(session_store, sorted(set(sessions.values())))
    return {
        key: expiries[session]
        for key, session in sessions.items()
        if session in expiries
    }
