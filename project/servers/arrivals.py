"""New connections have their turns, a few in each round of the event loop."""

import asyncio
import logging
from collections import deque

logger = logging.getLogger("channelscope")

AT_ONCE = 2  # in a round; what follows the first bytes takes some milliseconds each


class Arrivals:
    """A queue before the door.

    When hundreds come at once, after a restart for example, those who are connected
    must not wait until all of them are in.
    """

    def __init__(self):
        self.waiting = deque()

    def add(self, enter):
        """Call `enter()` soon, from the running event loop."""
        self.waiting.append(enter)
        if len(self.waiting) == 1:
            asyncio.get_running_loop().call_soon(self._let_in)

    def _let_in(self):
        for _ in range(min(AT_ONCE, len(self.waiting))):
            try:
                # It stays in the queue until it is through: nobody else asks for a
                # round meanwhile.
                self.waiting[0]()
            except Exception:
                # One that cannot enter must not keep all others out.
                logger.exception("A handshake failed")
            self.waiting.popleft()
        if self.waiting:
            asyncio.get_running_loop().call_soon(self._let_in)


arrivals = Arrivals()
