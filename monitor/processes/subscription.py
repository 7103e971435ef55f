"""A group of the channel layer, heard for as long as somebody wants to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from channels.layers import get_channel_layer

from monitor.channel import channel_of

logger = logging.getLogger("channelscope.monitor")

JOIN_AGAIN_AFTER = 3600  # seconds; the in-memory layer forgets members after 24 h
TRY_AGAIN_AFTER = 2  # seconds


class Subscription:
    """Calls `on_tick` for each message to a group, and once after joining it.

    A layer that is away is tried again; whoever listens must also look by itself.
    """

    def __init__(self, group: str, on_tick: Callable[[], None]) -> None:
        self.group = group
        self.on_tick = on_tick
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen on the running event loop, until stopped."""
        if get_channel_layer() is not None:
            self._task = asyncio.get_running_loop().create_task(self._listen())

    def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _listen(self) -> None:
        failing = False
        while self._is_wanted():
            try:
                async with asyncio.timeout(JOIN_AGAIN_AFTER):
                    await self._hear()
            except TimeoutError:
                failing = False
            except Exception as error:
                # Whatever the layer's client raises; a lost tick does no harm.
                if not failing:
                    logger.warning("No ticks from the channel layer: %s", error)
                failing = True
                await asyncio.sleep(TRY_AGAIN_AFTER)

    async def _hear(self) -> None:
        layer = get_channel_layer()
        async with channel_of(layer, [self.group]) as channel:
            while self._is_wanted():
                self.on_tick()
                await layer.receive(channel)

    def _is_wanted(self) -> bool:
        # redis-py swallows a cancellation that comes while it connects.
        return asyncio.current_task() is self._task
