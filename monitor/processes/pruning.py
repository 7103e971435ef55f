"""Deletes old records in the background, in one process for all."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

from django.db import Error

from monitor.conf import settings
from monitor.models import Process
from monitor.recording import retention

FIRST_AFTER = 60.0  # seconds from the start


class Pruning:
    """A run every `MONITOR_PRUNE_INTERVAL`, if this process is the eldest one."""

    def __init__(self, process_id: uuid.UUID) -> None:
        self.process_id = process_id
        self._run: Iterator[retention.Chunk] | None = None
        self._due_at = time.monotonic() + FIRST_AFTER

    def some(self) -> bool:
        """Delete a little; True if there may be more."""
        if self._run is None and not self._begin():
            return False
        assert self._run is not None
        try:
            next(self._run)
        except StopIteration:
            self._run = None
        except Error:
            self._run = None
            raise
        return self._run is not None

    def _begin(self) -> bool:
        if time.monotonic() < self._due_at:
            return False
        self._due_at = time.monotonic() + settings.PRUNE_INTERVAL
        eldest = Process.objects.alive().order_by("started_at", "pk").first()
        if eldest is not None and eldest.pk == self.process_id:
            self._run = retention.prune()
        return self._run is not None
