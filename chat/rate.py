"""How often one user may do something, whatever the number of their sockets."""

import time


def burst(rate):
    """How many tokens of `rate` a second a full bucket holds."""
    return max(1.0, 2 * rate)


class RateLimit:
    """A token bucket for each key, written down as the time when it is full again.

    That is the generic cell rate algorithm (ITU-T I.371): one number for each key.
    """

    KEPT = 10_000  # keys, before those with a full bucket are forgotten

    def __init__(self, clock=time.monotonic):
        self.clock = clock
        self.full_at = {}

    def take(self, key, rate):
        """Take a token, of `rate` a second and at most twice that at once.

        Return 0, or the seconds until there is one.
        """
        now = self.clock()
        full_at = max(now, self.full_at.get(key, now)) + 1 / rate
        wait = full_at - now - burst(rate) / rate
        if wait > 1e-6:  # seconds; less is the rounding of the sum
            return wait

        self.full_at[key] = full_at
        if len(self.full_at) > self.KEPT:
            self._forget(now)
        return 0

    def _forget(self, now):
        self.full_at = {key: at for key, at in self.full_at.items() if at > now}
