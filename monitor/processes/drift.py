"""Compares the sockets that this process holds with its rows, and mends the rows."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from typing import Protocol

from django.db.models import F

from monitor.models import Connection
from monitor.recording.journal import Journal
from monitor.recording.recorder import Recorder
from monitor.turns import taking_turns

from .registry import Registry
from .ticks import Ticker

MEND_INTERVAL = 30.0  # seconds


class Drifting(Protocol):
    """The process whose rows they are."""

    id: uuid.UUID
    journal: Journal
    registry: Registry
    ticker: Ticker
    seq: int
    drift: int


class Drift:
    """Rows that are open and held by nobody, and sockets without an open row.

    A row stays open if its end could not be written, on a full disk for example; a
    socket has none if somebody deleted it. What is only on its way is in the journal,
    so a second look comes when all of that is stored.
    """

    def __init__(self, process: Drifting) -> None:
        self.process = process
        self._seq = 0  # of the last event at the last look
        self._unheld: set[uuid.UUID] = set()
        self._unwritten: set[str] = set()
        self._due_at = 0.0

    def mend(self, stored_seq: int) -> bool:
        """Mend what was found at two looks, if it is time for one; True if any.

        `stored_seq` is the number of the last event in the database. One query.
        """
        on_its_way = stored_seq < self._seq and self.process.journal.waiting
        if time.monotonic() < self._due_at or on_its_way:
            return False
        self._due_at = time.monotonic() + MEND_INTERVAL
        self._seq = self.process.seq
        # A row that the database refuses is not tried for ever.
        held = {
            recorder.key: recorder
            for recorder in self.process.registry
            if recorder.opened and not recorder.ended and not recorder.goes_on
        }
        rows = Connection.objects.open().filter(process_id=self.process.id)
        open_rows = set(rows.values_list("pk", flat=True))
        keys = {key.hex for key in open_rows}
        unheld = {key for key in open_rows if key not in self.process.registry}
        unwritten = {key for key in held if key not in keys}
        drifted, lacking = unheld & self._unheld, unwritten & self._unwritten
        self._unheld, self._unwritten = unheld - drifted, unwritten - lacking
        self._close(drifted)
        self._write_again([held[key] for key in lacking])
        self.process.drift += len(drifted) + len(lacking)
        return bool(drifted or lacking)

    def _close(self, drifted: set[uuid.UUID]) -> None:
        if drifted:
            detail = "mended: its end could not be recorded"
            with taking_turns():
                Connection.objects.open().filter(pk__in=drifted).update(
                    closed_at=F("active_at"), cause=Connection.Cause.LOST, detail=detail
                )

    def _write_again(self, lacking: Iterable[Recorder]) -> None:
        loop = self.process.ticker.loop
        for recorder in lacking:
            assert loop is not None  # it holds connections
            loop.call_soon_threadsafe(
                recorder.begin_anew, recorder.process, "its row had gone"
            )
