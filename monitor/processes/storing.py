"""Moves what the journal of this process holds into the database."""

from __future__ import annotations

import logging
import time
import uuid
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Protocol

import orjson
from django.conf import settings as django_settings

from monitor.conf import settings
from monitor.recording.batch import Batch
from monitor.recording.journal import READ_SIZE, Chunk, Journal
from monitor.recording.progress import Progress
from monitor.recording.recorder import Recorder
from monitor.recording.store import store
from monitor.recording.writer import Writer
from monitor.scope import session_expiries

from .registry import Registry

logger = logging.getLogger("channelscope.monitor")

AWHILE = 60.0  # seconds; whoever has shown nothing for so long is told of at once
COUNTING_SHARE = 9  # counts rest for this many times as long as storing them took
MANY = 250  # lines; from here on, larger batches cost less than they delay
LONGER = 5  # times that what waits may then gather
SET_ASIDE_LIMIT = 16 * 2**20  # bytes; the file before it is kept, too
SET_ASIDE = "set-aside.jsonl"


class Stored(Protocol):
    """The process whose journal it is."""

    id: uuid.UUID
    directory: Path
    journal: Journal
    registry: Registry
    writer: Writer
    stopping: bool
    seq: int
    set_aside: int


class Storing:
    """Stores the journal, batch by batch, and the counts of connections."""

    def __init__(self, process: Stored) -> None:
        self.process = process
        self.position = process.journal.start()
        self.progress = Progress(process.id.hex)
        self.counted = False  # whether the last batch had counts of connections
        self._counts_due_at = 0.0
        self._sessions_failed = False

    def has_more(self, chunk: Chunk) -> bool:
        """Whether to go on at once after `chunk`; a little may wait for others."""
        if self.process.stopping:
            return bool(chunk.lines)
        waiting = self.process.journal.waiting
        if waiting and chunk.lines:
            self.process.writer.wake()
        return waiting >= READ_SIZE // 8

    def store_for(self, progress: Progress, lines: list[bytes]) -> bool:
        """Store lines of the journal of a dead process."""
        return store(progress, lines, set_aside=self._set_aside)

    def store_batch(self) -> tuple[Chunk, bool]:
        """Store what waits; return it, and whether connections opened or closed, or
        somebody is back who had done nothing for long."""
        process = self.process
        # Before the lines: a count must not be newer than the last line by much, and
        # never older than one whose segment is forgotten.
        touched = self._take_touched()
        opened: set[str] = set()
        came_back = False
        stored_until = 0  # time of the last line, microseconds since 1970

        def complete(batch: Batch) -> None:
            nonlocal stored_until, came_back
            stored_until = max(stored_until, batch.last_at)
            for recorder in touched:
                active_at, heard_at = recorder.active_at, recorder.heard_at
                batch.count(recorder.key, active_at, heard_at, recorder.counts())
                batch.took(recorder.key, recorder.handled_seq, recorder.handler_us)
                if heard_at is not None:
                    came_back |= heard_at - recorder.shown_at > AWHILE * 1_000_000
                    recorder.shown_at = heard_at
            self._note_session_ends(batch)
            opened.update(batch.opened)

        started_at = time.monotonic()
        try:
            chunk = process.journal.read(self.position)
            self.counted = bool(touched)
            if not (chunk.lines or touched):
                return chunk, False
            presence = store(self.progress, chunk.lines, complete, self._set_aside)
        except Exception:
            # Whatever it was, they are still to be counted.
            process.registry.touched.update(touched)
            raise
        if touched:
            took = time.monotonic() - started_at
            self._counts_due_at = time.monotonic() + COUNTING_SHARE * took
        process.registry.forget_sessions(opened)
        self._stored_until(chunk)
        if process.journal.waiting:
            # A row of theirs, or a message, may lie behind this chunk. Not of those
            # that have ended, whose last event tells the counts, nor of quiet ones: a
            # process that is never idle would keep and count more and more of them.
            process.registry.touched.update(
                recorder
                for recorder in touched
                if not recorder.ended and recorder.active_at >= stored_until
            )
        busy = len(chunk.lines) > MANY
        process.writer.pause = settings.BATCH_INTERVAL * (LONGER if busy else 1)
        return chunk, presence or came_back

    def _note_session_ends(self, batch: Batch) -> None:
        try:
            ends = _session_ends(self.process.registry.sessions(batch.opened))
        except Exception:
            # The rows are worth more than the end of a session, whose store may be
            # anywhere and whose key is whatever a cookie said.
            if not self._sessions_failed:
                logger.exception("The ends of some sessions are not known")
            self._sessions_failed = True
            return
        self._sessions_failed = False
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
        if not self.process.registry.touched or self.counted:
            # What lies before this chunk has nothing left to say. Until then, it is
            # what tells the counts of connections if this process dies.
            self.process.journal.forget(self.position)
        self.process.journal.stored += chunk.size
        self.position = chunk.end

    def finish(self) -> None:
        """Note what was lost at the very end, behind which no event came."""
        last = self.process.seq
        if last > self.progress.seq and not self.process.journal.waiting:
            self.progress.pass_over(last, lost=last - self.progress.seq)

    def _set_aside(self, line: bytes, reason: Exception) -> None:
        """Keep a line that the database refuses, with the reason."""
        if not self.process.set_aside:
            logger.error("Something cannot be stored and is set aside: %s", reason)
        self.process.set_aside += 1
        kept = {
            "reason": f"{type(reason).__name__}: {reason}",
            "line": line.decode("utf-8", "replace"),
        }
        try:
            self._keep_aside(orjson.dumps(kept) + b"\n")
        except OSError:
            # A disk that refuses it must not hold up all the others.
            logger.exception("What was set aside could not be kept")

    def _keep_aside(self, text: bytes) -> None:
        path = self.process.directory / SET_ASIDE
        path.touch(mode=0o600)  # it has texts of messages
        if path.stat().st_size > SET_ASIDE_LIMIT:
            path.replace(path.with_suffix(".old.jsonl"))
        with open(path, "ab") as file:
            file.write(text)


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
