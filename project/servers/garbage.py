"""When Python looks for garbage that refers to itself.

A full collection goes through all objects of the process, and everything else waits:
a tenth of a millisecond for each open connection. Python begins one whenever there are
a quarter more objects than before, which is while a crowd comes in.
"""

import gc
import time

LOOK_EVERY = 0.25  # seconds
CALM = 0.25  # of a core, all that the process used between two looks
CALM_FOR = 4  # looks in a row; a crowd has gaps, too
PATIENCE = 5.0  # seconds that a calm moment is waited for; a crowd is in by then
WORTH_IT = 10  # younger collections, without which there is nothing new to look at
REST = 20  # times as long as a full collection takes, between two of them
LONGEST_REST = 16 * REST  # where they find little
MUCH = 20  # younger collections, after which it never rests longer
LITTLE = 1000  # objects
NEVER = 10**9  # a threshold that is not reached


class Collector:
    """Collects if much has happened: at a calm moment, or after a long wait for one.

    The less is found, the longer it rests.
    """

    def __init__(self, loop):
        self.loop = loop
        self.collected_at = loop.time()
        self.wanted_at = None
        self.calm = 0  # looks
        self.took = 0.0  # seconds, the last one
        self.times = REST  # as long as that it rests
        gc.collect()
        gc.freeze()  # what a start has made stays
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, NEVER)
        self._look_again()

    def _look_again(self):
        self.looked_at, self.used = self.loop.time(), time.process_time()
        self.loop.call_later(LOOK_EVERY, self._look)

    def _look(self):
        now = self.loop.time()
        used = time.process_time() - self.used
        is_calm = used < CALM * (now - self.looked_at)
        self.calm = self.calm + 1 if is_calm else 0
        if self.wanted_at is None and self._is_due(now):
            self.wanted_at = now
        if self.wanted_at is not None and (
            self.calm >= CALM_FOR or now - self.wanted_at >= PATIENCE
        ):
            self._collect()
        self._look_again()

    def _is_due(self, now):
        happened = gc.get_count()[2]
        times = min(REST, self.times) if happened >= MUCH else self.times
        rested = now - self.collected_at >= times * self.took
        return happened >= WORTH_IT and rested

    def _collect(self):
        began_at = self.loop.time()
        found = gc.collect()
        self.collected_at, self.wanted_at, self.calm = self.loop.time(), None, 0
        self.times = REST if found >= LITTLE else min(2 * self.times, LONGEST_REST)
        self.took = self.collected_at - began_at
