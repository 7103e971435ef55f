"""When Python looks for garbage that refers to itself.

A full collection goes through all objects of the process, and everything else waits:
a tenth of a millisecond for each open connection. Python begins one whenever there are
a quarter more objects than before, which is while a crowd comes in.
"""

import gc

REST = 20  # times as long as a full collection takes, between two of them
OVERDUE = 3  # times that rest, after which no calm moment is waited for any more
LOOK_EVERY = 1.0  # seconds
CALM = 0.02  # seconds that the event loop is late when it has little to do
WORTH_IT = 10  # younger collections, without which there is nothing new to look at
NEVER = 10**9


class Collector:
    """Collects if much has happened: at a calm moment, or after a long wait for one."""

    def __init__(self, loop):
        self.loop = loop
        self.collected_at = loop.time()
        self.took = 0.0  # seconds
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
        rest = self.took * REST * (1 if is_calm else OVERDUE)
        if has_happened and waited >= rest:
            gc.collect()
            self.collected_at = self.loop.time()
            self.took = self.collected_at - now
        self._look_again()
