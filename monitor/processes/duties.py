"""What the writer's thread does for this process, turn by turn."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any, Protocol

from django.db import Error

from monitor.conf import settings
from monitor.models import Connection
from monitor.recording.journal import Journal
from monitor.recording.progress import TakenForLost
from monitor.recording.rules import Rules
from monitor.recording.writer import Writer
from monitor.turns import taking_turns

from . import heartbeat, recovery
from .commands import Commands
from .drift import Drift
from .orders import Orders
from .pruning import Pruning
from .registry import Registry
from .storing import Storing
from .ticks import Ticker
from .traffic import Traffic

PEERS_EVERY = 1.0  # seconds; staff want to see soon that a process has died


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
    drift: int
    taken_for_lost: bool

    def take_over_dead(self) -> Generator[bool]: ...
    def begin_anew(self) -> None: ...


class Duties:
    """Stores the journal and the counts, renews the lease, sees to what staff ask."""

    def __init__(self, process: Served) -> None:
        self.process = process
        self.storing = Storing(process)
        self.pruning = Pruning(process.id)
        self.orders = Orders(process.directory)
        self.traffic = Traffic()
        self.drift = Drift(process)
        self.registered = self.ended = False  # says the row of the process
        self._recovery: Generator[bool] | None = None
        self._recovery_due_at = self._answers_due_at = 0.0
        self._traffic_is_new = False
        self._traffic_told_at = 0  # seconds since 1970
        self._beat_due_at = 0.0

    def turn(self) -> bool:
        """Store a batch, then see to everything else; True if more may wait."""
        process = self.process
        if self.ended or process.taken_for_lost:
            return False
        try:
            return self._turn()
        except TakenForLost:
            process.taken_for_lost = True
            process.begin_anew()
            return False

    def _turn(self) -> bool:
        process = self.process
        # Asked before reading: what comes until it stops must be read after that.
        stopping = process.stopping
        if not self.registered:
            heartbeat.register(process.id, process.identity)
            self.registered = True
        elif time.monotonic() >= self._beat_due_at + settings.LEASE:
            self._beat()  # before anything else, after a long pause

        chunk, presence = self.storing.store_batch()
        self._count_traffic()
        self._follow_orders()
        answered = self._see_to_actions()
        presence |= self._recover_some()
        if not process.stopping and self.pruning.some():
            process.writer.wake()
        if stopping and not chunk.lines:
            self._end()
            self.ended = True
        elif time.monotonic() >= self._beat_due_at:
            presence |= self.drift.mend(self.storing.progress.seq)
            self._beat()
            presence |= recovery.give_up_unheard_of()
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
        process, loop = self.process, self.process.ticker.loop
        due = process.asked or time.monotonic() >= self._beat_due_at
        if due and (loop is None or loop.is_running()):
            process.asked = False
            process.commands.look(loop)
        answered = process.commands.write_answers()
        if time.monotonic() >= self._answers_due_at:
            self._answers_due_at = time.monotonic() + PEERS_EVERY
            answered |= process.commands.give_up_waiting()
        return answered

    def _follow_orders(self) -> None:
        process, loop = self.process, self.process.ticker.loop
        before = process.rules
        process.rules = self.orders.look(before, at_once=process.asked)
        if process.rules.blocks == before.blocks or loop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(process.commands.keep_out_soon)

    def _beat(self) -> None:
        process = self.process
        with taking_turns():
            is_known = heartbeat.beat(
                process.id,
                journal_bytes=process.journal.waiting,
                dropped=process.dropped,
                shed=process.shed,
                failures=process.failures,
                set_aside=process.set_aside,
                drift=process.drift,
            )
        if not is_known:
            raise TakenForLost
        self._beat_due_at = time.monotonic() + settings.HEARTBEAT_INTERVAL

    def _recover_some(self) -> bool:
        """Take over a piece of what a dead process left; True if it was the last."""
        if self.process.stopping:
            if self._recovery is not None:
                self._recovery.close()  # another one goes on
                self._recovery = None
            return False
        if self._recovery is None:
            if time.monotonic() < self._recovery_due_at:
                return False
            self._recovery_due_at = time.monotonic() + PEERS_EVERY
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

    def _end(self) -> None:
        """Say that this process stops. Whatever it held is closed by now."""
        self.storing.finish()
        self._beat()
        recovery.close_open(self.process.id, Connection.Cause.SERVER, "")
        recovery.answer_for(self.process.id)
        heartbeat.end(self.process.id, lost=False)
