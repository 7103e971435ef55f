"""Tells the dashboards, wherever they are, to look again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from channels.layers import get_channel_layer

from monitor.conf import settings
from monitor.presence import GROUP as PRESENCE_GROUP
from monitor.presence import TICK as PRESENCE_TICK

logger = logging.getLogger("channelscope.monitor")

GROUP = "monitor"
TICKS = {
    GROUP: {"type": "monitor.tick"},  # something was stored
    PRESENCE_GROUP: {"type": PRESENCE_TICK},  # connections opened or closed
}


class Ticker:
    """Sends ticks from the writer's thread: the first at once, then coalesced."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._groups: set[str] = set()
        self._sent_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send from now on from this event loop."""
        if loop is not self.loop:
            self.loop = loop
            self._groups = set()

    def tick(self, presence: bool) -> None:
        """Ask for a tick; `presence` says that somebody came, went, or came back.

        Runs in the writer's thread. Ticks may get lost: they are hints.
        """
        if self.loop is None or self.loop.is_closed():
            return
        groups = {GROUP, PRESENCE_GROUP} if presence else {GROUP}
        # RuntimeError: closed a moment ago, and nobody is left to be told.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._schedule, groups)

    def _schedule(self, groups: set[str]) -> None:
        assert self.loop is not None
        if not self._groups:
            wait = self._sent_at + settings.TICK_INTERVAL - time.monotonic()
            self.loop.call_later(max(wait, 0), self._send)
        self._groups |= groups

    def _send(self) -> None:
        assert self.loop is not None
        if self._task is not None and not self._task.done():
            # A layer that hangs must not gather tasks.
            self.loop.call_later(settings.TICK_INTERVAL, self._send)
            return
        groups, self._groups = self._groups, set()
        self._sent_at = time.monotonic()
        # Kept here because the loop itself holds its tasks only weakly.
        self._task = self.loop.create_task(self._publish(groups))

    async def _publish(self, groups: set[str]) -> None:
        layer = get_channel_layer()
        if layer is None:
            return
        try:
            for group in sorted(groups):
                await layer.group_send(group, TICKS[group])
            self._failing = False
        except Exception as error:
            # A layer that is away costs ticks: the dashboards look by themselves.
            if not self._failing:
                logger.warning("Ticks do not get through: %s", error)
            self._failing = True
