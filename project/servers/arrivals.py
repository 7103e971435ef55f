"""New connections have their turns, a few in each round of the event loop."""

import asyncio
import logging
from collections import deque

logger = logging.getLogger("channelscope")

A_ROUND = 2  # newcomers; what follows the first bytes takes some milliseconds each


class Arrivals:
    """A queue before the door of a server.

    When hundreds come at once, after a restart for example, those who are connected
    must not wait until all of them are in.
    """

    def __init__(self):
        self.waiting = deque()
        self.is_closed = False

    def add(self, newcomer):
        """Call `newcomer.enter()` soon, from the running event loop; or its
        `turn_away()`, as soon as the door is closed."""
        if self.is_closed:
            _turn_away(newcomer)
            return
        self.waiting.append(newcomer)
        if len(self.waiting) == 1:
            asyncio.get_running_loop().call_soon(self._let_in)

    def close(self):
        """Let nobody in any more: the server is about to stop."""
        self.is_closed = True
        while self.waiting:
            _turn_away(self.waiting.popleft())

    def _let_in(self):
        for _ in range(min(A_ROUND, len(self.waiting))):
            # It stays in the queue until it is through: nobody else asks for a round
            # meanwhile.
            newcomer = self.waiting[0]
            try:
                newcomer.enter()
            except Exception:
                # One that cannot enter must not keep all others out.
                logger.exception("A handshake failed")
                _turn_away(newcomer)
            self.waiting.popleft()
        if self.waiting:
            asyncio.get_running_loop().call_soon(self._let_in)


def _turn_away(newcomer):
    try:
        newcomer.turn_away()
    except Exception:
        logger.exception("A connection could not be closed")
