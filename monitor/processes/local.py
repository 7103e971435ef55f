"""This process: what it holds open, writes down and is asked to do."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import logging
import os
import random
import time
from collections.abc import Generator
from pathlib import Path

import orjson
from django.core.exceptions import ImproperlyConfigured

from monitor.conf import problems, settings
from monitor.ids import time_ordered_uuid
from monitor.models import Connection, Event
from monitor.recording import lines
from monitor.recording.journal import Journal, Lock
from monitor.recording.recorder import Recorder
from monitor.recording.rules import Rules
from monitor.recording.writer import Writer

from . import heartbeat, orders, recovery
from .commands import Commands
from .duties import Duties
from .registry import Registry
from .ticks import Ticker

logger = logging.getLogger("channelscope.monitor")

CLOSING_RATE = 250.0  # connections a second, when the server stops
CLOSE_ALL_WITHIN = 4.0  # seconds, then faster
FAILURES_TOLD_EVERY = 60.0  # seconds; their number is on the process's row


class LocalProcess:
    """Everything that one server process keeps for the monitor.

    The event loop appends to the journal and keeps the registry; one thread, the
    writer's, does everything that touches the database: see `Duties`.
    ImproperlyConfigured if a setting makes no sense.
    """

    def __init__(self) -> None:
        if wrong := "; ".join(problems()):
            # Half of them would be found out while something is recorded.
            raise ImproperlyConfigured(wrong)
        self.id = time_ordered_uuid()
        self.pid = os.getpid()
        self.identity = heartbeat.identity()
        self.directory = journal_directory()
        self.journal = Journal(self.directory / str(self.id))
        self.lock = Lock(self.directory / f"{self.id}.lock")
        self.registry = Registry()
        self.ticker = Ticker()
        self.duties = Duties(self)
        self.writer = Writer(self.duties.turn)
        self.commands = Commands(
            self.id, self.registry, self.wake, hurry=self.writer.wake
        )
        self.messages_in = self.messages_out = 0
        self.rules = Rules(orders.remembered(self.directory))
        self.dropped = self.shed = self.failures = self.set_aside = self.drift = 0
        self.started = self.stopping = False
        self.taken_for_lost = False  # by others, who closed what it held
        self.asked = False  # staff asked for something, says the layer
        self.farewell: tuple[int, str] | None = None  # once the server stops
        self.leaving: set[asyncio.Task[bool]] = set()
        self.seq = 0  # of the last event
        self._failure_told_at = -FAILURES_TOLD_EVERY

    # From the event loop -------------------------------------------------------------

    def start(self) -> None:
        """Take the lock and start the writer, on the first call."""
        if self.started:
            return
        self.lock.make(json.dumps(self.identity))
        self.started = True
        self.writer.start()
        atexit.register(self.stop)

    def add(self, recorder: Recorder) -> None:
        """Hold a connection; hear what staff ask for as long as there are any."""
        self.start()
        if not self.registry:
            self.ticker.attach(asyncio.get_running_loop())
            self.commands.subscription.start()
        self.registry.add(recorder)
        if self.farewell is not None:
            self._send_away(recorder, *self.farewell)

    def discard(self, recorder: Recorder) -> None:
        """Let go of a connection that has ended."""
        self.registry.discard(recorder)
        if not self.registry:
            self.commands.subscription.stop()

    def touch(self, recorder: Recorder) -> None:
        """Hear that a connection's counts have changed, and no event says so."""
        recorder.touched = True
        self.registry.touched.add(recorder)
        if not self.writer.awake:
            self.writer.wake()

    def note_message(self, message: lines.Message) -> int:
        """Append a message to the journal, without its text if that is nearly full.

        Without anything if it is full: the number is left out and tells of it.
        """
        journal = self.journal
        seq = message[lines.SEQ] = self.seq + 1
        if journal.written - journal.stored > self.rules.shed_from:
            if journal.waiting > self.rules.journal_limit:
                self.dropped += 1
                self.seq = seq
                return seq
            self.shed += 1
            message[lines.TEXT], message[lines.OMISSION] = "", Event.Omission.FULL
        text = orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)
        journal.append(text, self.rules.segment_size)
        self.seq = seq
        if not self.writer.awake:
            self.writer.wake()
        return seq

    def note(self, event: lines.Event) -> int:
        """Append an event to the journal; return its number. OSError if the disk
        refuses it."""
        seq = event["seq"] = self.seq + 1
        text = orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
        self.journal.append(text, self.rules.segment_size)
        self.seq = seq
        if not self.writer.awake:
            self.writer.wake()
        return seq

    def wake(self) -> None:
        """Look at once for what staff asked. From any thread."""
        self.asked = True
        self.writer.wake(urgently=True)

    def count_failure(self, message: str) -> None:
        """Count the exception being handled, by which nothing was lost."""
        self.failures += 1
        self._tell(message)

    def count_loss(self) -> None:
        """Count an event that could not be noted, and leave its number out."""
        self.dropped += 1
        self.seq += 1
        self._tell("An event was not recorded; its connection carries on")

    def _tell(self, message: str) -> None:
        """Log the exception being handled; one a minute."""
        if time.monotonic() - self._failure_told_at >= FAILURES_TOLD_EVERY:
            self._failure_told_at = time.monotonic()
            counted = self.failures + self.dropped
            logger.exception("%s (number %d)", message, counted)

    async def close_all(self, code: int, reason: str) -> None:
        """Close every connection that is held here, because the server stops.

        One after the other, in no particular order, in at most `CLOSE_ALL_WITHIN`:
        their clients come back to another process, which had better not meet them all
        at once. Who was on the way in when that began is closed as soon as it is here.
        """
        self.farewell = code, reason
        recorders = list(self.registry)
        random.shuffle(recorders)
        pause = min(1 / CLOSING_RATE, CLOSE_ALL_WITHIN / max(len(recorders), 1))
        began_at = time.monotonic()
        for number, recorder in enumerate(recorders):
            early = began_at + number * pause - time.monotonic()
            if early > 0:
                await asyncio.sleep(early)
            self._send_away(recorder, code, reason)
        try:
            while self.leaving:
                await asyncio.wait(self.leaving)
        finally:
            for task in self.leaving:  # the server's patience has ended
                task.cancel()

    def _send_away(self, recorder: Recorder, code: int, reason: str) -> None:
        end = recorder.disconnect(code, reason, Connection.Cause.SERVER)
        task = asyncio.get_running_loop().create_task(end)
        self.leaving.add(task)
        task.add_done_callback(self._sent_away)

    def _sent_away(self, task: asyncio.Task[bool]) -> None:
        self.leaving.discard(task)
        if not task.cancelled():
            task.exception()  # the peer has gone by itself

    def end_connections(self) -> None:
        """Note the end of those whose applications outlive the server's patience."""
        for recorder in self.registry:
            recorder.end(Event.Kind.DISCONNECT, Connection.Cause.SERVER)

    # From the writer's thread --------------------------------------------------------

    def begin_anew(self) -> None:
        """Go on as another process: others closed the rows of this one.

        They waited for `MONITOR_LOST_AFTER`, in which this one was stopped or cut off.
        With an event loop that has stopped all connections are over: what is left in
        the journal is stored by the next process that starts here.
        """
        logger.error(
            "This process was taken for lost; its connections go on in new rows"
        )
        loop = self.ticker.loop
        if loop is None:  # nobody has connected yet
            self._hand_over()
        elif loop.is_running():
            with contextlib.suppress(RuntimeError):  # closed a moment ago
                loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        """Give the connections to a new process, and the journal to whoever takes
        over from the dead."""
        if self.stopping:
            return
        successor = local_process()
        successor.start()
        for recorder in self.registry:
            recorder.begin_anew(successor, "its process was taken for lost")
        # They are told by this one; who comes from now on, by the other.
        successor.farewell, successor.leaving = self.farewell, self.leaving
        atexit.unregister(self.stop)
        self.stopping = True
        self.writer.stop(timeout=0)
        self.journal.close()
        self.lock.release()

    # From the main thread ------------------------------------------------------------

    def recover(self) -> int:
        """Take over from dead processes of this host; return how many there were."""
        return sum(self.take_over_dead())

    def take_over_dead(self) -> Generator[bool]:
        """The same, a piece at a time: see `recovery.take_over_dead`."""
        return recovery.take_over_dead(
            self.directory, self.id, self.duties.storing.store_for
        )

    def stop(self, timeout: float = 5.0) -> bool:
        """Store what waits, and end; False if that took longer than `timeout`.

        What is left in the journal is stored by the next process that starts here.
        """
        if not self.started or self.stopping or self.pid != os.getpid():
            return True
        atexit.unregister(self.stop)
        self.end_connections()
        self.stopping = True
        ended = self.writer.stop(timeout)
        self.journal.close()
        if ended and not self.journal.waiting and self._is_told():
            self.journal.remove()
            self.lock.path.unlink(missing_ok=True)
            self.lock.release()
            return True
        logger.warning(
            "The database does not know that this process stopped; %d bytes wait in %s "
            "for the next start",
            self.journal.waiting,
            self.journal.directory,
        )
        return False

    def _is_told(self) -> bool:
        """Whether the database knows of the end, or of nothing that could end."""
        return self.duties.ended or not self.duties.registered


_process: LocalProcess | None = None


def local_process() -> LocalProcess:
    """Return this process; a new one after a fork, a stop, or if others took it for
    lost."""
    global _process
    ended = _process is not None and (_process.stopping or _process.taken_for_lost)
    if _process is None or _process.pid != os.getpid() or ended:
        _process = LocalProcess()
    return _process


def end_connections() -> None:
    """Note the end of all connections that are still open, as the server stops."""
    if _process is not None:
        _process.end_connections()


def stop_local_process() -> None:
    """Store what waits, and end, if there is anything that has begun."""
    if _process is not None:
        _process.stop()


def _forget_after_fork() -> None:
    """The child is a process of its own; the journal and the lock are its parent's."""
    global _process
    if _process is not None and _process.started:
        atexit.unregister(_process.stop)
        _process.journal.close()
        _process.lock.release()
    _process = None


os.register_at_fork(after_in_child=_forget_after_fork)


def journal_directory() -> Path:
    """Return `MONITOR_JOURNAL_DIR`, made if need be. ImproperlyConfigured."""
    if not settings.JOURNAL_DIR:
        raise ImproperlyConfigured(
            "Set MONITOR_JOURNAL_DIR to a directory on a local disk: the monitor "
            "keeps there what it has not stored yet."
        )
    directory = Path(settings.JOURNAL_DIR)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory
