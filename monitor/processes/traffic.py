"""Messages a second: the last minute of a process, kept on its row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

SECONDS = 60
RATE_OVER = 5  # seconds that a rate is the mean of


class Rates(NamedTuple):
    """Messages a second."""

    messages_in: float
    messages_out: float


class Traffic:
    """Buckets of one second, made from counters that only grow."""

    def __init__(self) -> None:
        self._counted = (0, 0)
        self._buckets: dict[int, tuple[int, int]] = {}

    def count(self, messages_in: int, messages_out: int, second: int) -> bool:
        """Put what was counted since the last call into the bucket of `second`.

        True if that was anything.
        """
        more_in = messages_in - self._counted[0]
        more_out = messages_out - self._counted[1]
        self._counted = messages_in, messages_out
        if not (more_in or more_out):
            return False
        before = self._buckets.get(second, (0, 0))
        self._buckets[second] = before[0] + more_in, before[1] + more_out
        self._buckets = {
            bucket: counts
            for bucket, counts in self._buckets.items()
            if bucket > second - SECONDS
        }
        return True

    def as_json(self) -> dict[str, Any]:
        """`{second since 1970: [messages in, messages out]}`; empty ones left out."""
        return {str(second): list(counts) for second, counts in self._buckets.items()}


def series(traffics: Iterable[dict[str, Any]], second: int) -> list[tuple[int, int]]:
    """Sum the traffic of processes: in and out for each of the last 60 seconds.

    Oldest first; the last one is the second before `second`, which is complete.
    """
    totals = {bucket: [0, 0] for bucket in range(second - SECONDS, second)}
    for traffic in traffics:
        for bucket, (messages_in, messages_out) in traffic.items():
            if (total := totals.get(int(bucket))) is not None:
                total[0] += messages_in
                total[1] += messages_out
    return [(total[0], total[1]) for total in totals.values()]


def rates(minute: list[tuple[int, int]]) -> Rates:
    """The mean of the last seconds of a `series`."""
    recent = minute[-RATE_OVER:]
    return Rates(
        sum(bucket[0] for bucket in recent) / len(recent),
        sum(bucket[1] for bucket in recent) / len(recent),
    )
