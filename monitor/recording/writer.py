"""One thread that moves what the journal holds into the database."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.db import Error, connection

from monitor.conf import settings

logger = logging.getLogger("channelscope.monitor")

LONGEST_REST = 1.0  # seconds
SHORTEST_RETRY = 0.1
LONGEST_RETRY = 2.0


class Writer:
    """Runs `work` whenever it is woken, and at least once a second.

    `work()` moves a batch and returns True if there is more. A database that is
    away is tried again, ever more slowly, until it is back: what waits is on disk.
    """

    def __init__(self, work: Callable[[], bool]) -> None:
        self.work = work
        self.awake = False  # or about to be; then nobody needs to wake it
        self.resting = True  # for want of anything to do
        self.pause = settings.BATCH_INTERVAL  # seconds that what waits may gather
        self._some = threading.Event()
        self._urgent = threading.Event()
        self._stopping = False
        self._retry = 0.0
        self._thread = threading.Thread(
            target=self._run, name="monitor-writer", daemon=True
        )

    def start(self) -> None:
        """Start the thread; its first work comes at once."""
        self.wake(urgently=True)
        self._thread.start()

    def wake(self, urgently: bool = False) -> None:
        """Say that something waits; `urgently` ends the wait for more."""
        self.awake = True
        self._some.set()
        if urgently:
            self._urgent.set()

    def stop(self, timeout: float) -> bool:
        """Store what waits and end the thread; False if that took too long.

        In the thread itself it returns False, and the thread ends after its work.
        """
        self._stopping = True
        self._some.set()
        self._urgent.set()
        if threading.current_thread() is self._thread:
            return False
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._wait()
                while self._attempt():
                    pass
            while self._attempt():
                pass
        finally:
            self.resting = True
            connection.close()

    def _wait(self) -> None:
        if self._retry:
            time.sleep(self._retry)
        else:
            self.resting = True
            if self._some.wait(min(LONGEST_REST, settings.RULES_INTERVAL)):
                self.resting = False
                self._urgent.wait(self.pause)
            self.resting = False
        # Cleared before reading: what comes from now on wakes the thread again.
        self._some.clear()
        self._urgent.clear()
        self.awake = False

    def _attempt(self) -> bool:
        try:
            more = self.work()
        except Error as error:
            if not self._retry:
                logger.error("The database refuses to record (%s); trying on", error)
            connection.close()
            self._retry = min(max(2 * self._retry, SHORTEST_RETRY), LONGEST_RETRY)
            return False
        except Exception:
            # This thread must outlive any mistake in it: without it nothing is
            # recorded until the process ends.
            logger.exception("The writer failed; it tries again")
            self._retry = LONGEST_RETRY
            return False
        if self._retry:
            logger.warning("The database records again")
        self._retry = 0.0
        return more
