"""What the writer's thread does for this process, turn by turn."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any, Protocol

from django.db import Error
from django.db.models import F

from monitor.conf import settings
from monitor.models import Connection
from monitor.recording.journal import Journal
from monitor.recording.rules import Rules
from monitor.recording.writer import Writer
from monitor.turns import taking_turns

from . import heartbeat, recovery
from .commands import Commands
from .orders import Orders
from .pruning import Pruning
from .registry import Registry
from .storing import Storing
from .ticks import Ticker
from .traffic import Traffic

logger = logging.getLogger("channelscope.monitor")

MEND_INTERVAL = 30.0  # seconds


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
    seq: int
    messages_in: int
    messages_out: int
    rules: Rules
    dropped: int
    shed: int
    failures: int
    set_aside: int

    def take_over_dead(self) -> Generator[bool]: ...


class Duties:
    """Stores the journal and the counts, renews the lease, sees to what staff ask."""

    def __init__(self, process: Served) -> None:
        self.process = process
        self.storing = Storing(process)
        self.pruning = Pruning(process.id)
        self.orders = Orders(process.directory)
        self.traffic = Traffic()
        self.registered = self.ended = False  # says the row of the process
        self._recovery: Generator[bool] | None = None
        self._missing: set[uuid.UUID] = set()
        self._mend_due_at = 0.0
        self._traffic_is_new = False
        self._traffic_told_at = 0  # seconds since 1970
        self._beat_due_at = 0.0

    def turn(self) -> bool:
        """Store a batch, then see to everything else; True if more may wait."""
        process = self.process
        # Asked before reading: what comes until it stops must be read after that.
        stopping = process.stopping
        if not self.registered:
            heartbeat.register(process.id, process.identity)
            self.registered = True

        chunk, presence = self.storing.store_batch()
        self._count_traffic()
        process.rules = self.orders.look(process.rules, at_once=process.asked)
        answered = self._see_to_actions()
        presence |= self._recover_some()
        if not process.stopping and self.pruning.some():
            process.writer.wake()
        if stopping and not chunk.lines:
            self._end()
            self.ended = True
        elif time.monotonic() >= self._beat_due_at:
            presence |= self._mend()
            self._beat()
        if chunk.lines or answered or presence or self.storing.counted:
            process.ticker.tick(presence)
        return self.storing.has_more(chunk) or self._recovery is not None

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
        if self.process.stopping:
            if self._recovery is not None:
                self._recovery.close()  # another one goes on
                self._recovery = None
            return False
        if self._recovery is None:
            if time.monotonic() < self._beat_due_at:
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

    def _mend(self) -> bool:
        """Close rows whose connections are not held here any more; True if any.

        Their end could not be written, on a full disk for example. An end that is
        only on its way has arrived by the second look.
        """
        if time.monotonic() < self._mend_due_at:
            return False
        if self.process.journal.waiting:
            # Their ends may be there, and so may those of the last look.
            self._missing = set()
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
        self.storing.finish()
        self._beat()
        recovery.close_open(self.process.id, Connection.Cause.SERVER, "")
        heartbeat.end(self.process.id, lost=False)
