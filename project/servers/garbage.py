"""When Python looks for garbage that refers to itself.

A full collection goes through all objects of the process, and everything else waits:
a tenth of a millisecond for each open connection. Python begins one whenever there are
a quarter more objects than before, which is while a crowd comes in.
"""

import gc

EVERY = 60.0  # seconds between two full collections, at least
OVERDUE = 60.0  # seconds more in which a calm moment is waited for
LOOK_EVERY = 1.0  # seconds
CALM = 0.02  # seconds that the event loop is late when it has little to do
WORTH_IT = 10  # younger collections, without which there is nothing new to look at
NEVER = 10**9


class Collector:
    """Collects at calm moments of an event loop, and only if much has happened."""

    def __init__(self, loop):
        self.loop = loop
        self.collected_at = loop.time()
        gc.collect()
        gc.freeze()  # what a start has made stays
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, NEVER)
        self._look_again()

    def _look_again(self):
        self.looks_at = self.loop.time() + LOOK_EVERY
        self.loop.call_at(self.looks_at, self._look)

    def _look(self):
        now = self.loop.time()
        waited, is_calm = now - self.collected_at, now - self.looks_at < CALM
        has_happened = gc.get_count()[2] >= WORTH_IT
        if has_happened and waited > EVERY and (is_calm or waited > EVERY + OVERDUE):
            gc.collect()
            self.collected_at = self.loop.time()
        self._look_again()
