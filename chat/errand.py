"""Work that is asked for more often than it needs doing, or takes long."""

import asyncio
import logging
import time

logger = logging.getLogger("channelscope.chat")

LONGEST_REST = 10.0  # seconds; a run may have waited for a database that was away


class Errand:
    """A coroutine function that runs when asked, once at a time.

    Asked while it runs, it runs once more. A task exists only while there is
    something to do. A failure is logged, once until it works again; what was left
    undone is for whoever asks next.
    """

    def __init__(self, function, pause=0, rest=0):
        self.function = function
        self.pause = pause  # seconds between two runs, at least
        self.rest = rest  # how many times as long as a run took
        self.asked = False
        self.failing = False
        self.task = None

    def ask(self):
        """See to it that the function runs from its start after this call."""
        self.asked = True
        if self.task is None:
            self.task = asyncio.create_task(self._run())

    def cancel(self):
        """Stop what is running."""
        self.asked = False
        if self.task is not None:
            self.task.cancel()
            self.task = None

    async def _run(self):
        while self.asked:
            self.asked = False
            began_at = time.monotonic()
            await self._attempt()
            took = time.monotonic() - began_at
            rest = min(self.rest * took, LONGEST_REST)
            await asyncio.sleep(max(self.pause, rest))
        self.task = None

    async def _attempt(self):
        try:
            await self.function()
        except Exception:
            # Whoever asked does not wait for the end, and must not be hurt by it.
            if not self.failing:
                logger.exception("%s failed", self.function.__qualname__)
            self.failing = True
        else:
            self.failing = False


async def in_turns(items):
    """Go through many things, and let others have the event loop now and then."""
    for number, item in enumerate(items, 1):
        yield item
        if number % 50 == 0:
            await asyncio.sleep(0)
