"""Deletes what is old, or too much, a little at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Max, Q, QuerySet, TextField
from django.db.models.functions import Cast, Length
from django.utils import timezone

from monitor.conf import settings
from monitor.models import Connection, Event, Gap, Process, Trace
from monitor.turns import taking_turns

HOLD = 0.01  # seconds that a chunk should hold locks; a hundred ms are promised
FIRST_CHUNK = 200  # rows
LARGEST_CHUNK = 1000
SAMPLE = 300  # rows that stand for all
# What a row needs beside its texts, indexes included: 210 and 254 for an event on
# SQLite and PostgreSQL, 670 and 557 for a connection, measured with 200,000 and 10,000.
EVENT_BYTES = 240
CONNECTION_BYTES = 640


@dataclass
class Chunk:
    """What was deleted in one transaction."""

    name: str  # of the model, in the plural
    rows: int
    seconds: float  # that it took


def prune() -> Iterator[Chunk]:
    """Delete what `MONITOR_*_DAYS` and `MONITOR_SIZE_LIMIT` do not want kept.

    Between two chunks, whoever asks can see to other things.
    """
    pace = Pace()
    errors = Q(kind=Event.Kind.ERROR)
    if cutoff := _cutoff(settings.EVENT_DAYS):
        yield from pace.delete_older(Event.objects.exclude(errors), cutoff)
    if cutoff := _cutoff(settings.ERROR_DAYS):
        yield from pace.delete_older(Event.objects.filter(errors), cutoff)
    if cutoff := _cutoff(settings.CONNECTION_DAYS):
        closed = Connection.objects.filter(closed_at__lt=cutoff)
        yield from pace.delete_connections(closed.order_by("closed_at"))
        yield from pace.delete(Gap.objects.filter(ended_at__lt=cutoff))
        yield from pace.delete(Trace.objects.filter(finished_at__lt=cutoff))
        ended = Process.objects.filter(stopped_at__lt=cutoff, connections=None)
        yield from pace.delete(ended)
    if settings.SIZE_LIMIT:
        yield from _shrink(pace, settings.SIZE_LIMIT)


def size() -> int:
    """The bytes that events and connections take in the database, about.

    By the number of rows and a sample of their texts: files do not shrink when rows
    are deleted, so they cannot tell.
    """
    events = _event_count() * _event_bytes()
    connections = Connection.objects.count() * _connection_bytes()
    return int(events + connections)


class Pace:
    """Deletes as many rows at a time as can be deleted quickly."""

    def __init__(self) -> None:
        self.rows = FIRST_CHUNK

    def delete(self, queryset: QuerySet[Any]) -> Iterator[Chunk]:
        """Delete all rows, those first that come first."""
        while keys := list(queryset.values_list("pk", flat=True)[: self.rows]):
            yield self._delete(queryset.model, keys)

    def delete_older(
        self, events: QuerySet[Event], cutoff: datetime
    ) -> Iterator[Chunk]:
        """Delete events from before `cutoff`; each is looked at once."""
        older = events.filter(at__lt=cutoff).order_by("at", "pk")
        reached: datetime | None = None
        while True:
            # What lies before is not deleted: errors, which are kept for longer.
            rest = older if reached is None else older.filter(at__gte=reached)
            rows = list(rest.values_list("pk", "at")[: self.rows])
            if not rows:
                return
            reached = rows[-1][1]
            yield self._delete(Event, [key for key, _ in rows])

    def delete_connections(self, queryset: QuerySet[Connection]) -> Iterator[Chunk]:
        """Delete connections, and before them whatever events they still have."""
        while keys := list(queryset.values_list("pk", flat=True)[:FIRST_CHUNK]):
            yield from self.delete(Event.objects.filter(connection__in=keys))
            yield self._delete(Connection, keys)

    def _delete(self, model: type[Any], keys: Iterable[Any]) -> Chunk:
        with taking_turns():
            started_at = time.monotonic()
            count, _ = model.objects.filter(pk__in=keys).delete()
            seconds = time.monotonic() - started_at
        faster = HOLD / max(seconds, HOLD / 2)  # at most twice as many
        self.rows = min(max(int(self.rows * faster), 10), LARGEST_CHUNK)
        return Chunk(str(model._meta.verbose_name_plural), count, seconds)


def _shrink(pace: Pace, limit: int) -> Iterator[Chunk]:
    """Delete the oldest events, and then connections, until the rest fits."""
    surplus = size() - limit
    if surplus <= 0:
        return
    first, last = _event_keys()
    if first is not None and last is not None:
        border = first + min(int(surplus / _event_bytes()) + 1, last - first + 1)
        surplus -= int((border - first) * _event_bytes())
        yield from pace.delete(Event.objects.filter(pk__lt=border).order_by("pk"))
    if surplus > 0:
        count = int(surplus / _connection_bytes()) + 1
        closed = Connection.objects.exclude(closed_at=None).order_by("closed_at")
        oldest = list(closed.values_list("closed_at", flat=True)[:count])
        if oldest:
            yield from pace.delete_connections(closed.filter(closed_at__lte=oldest[-1]))


def _cutoff(days: float | None) -> datetime | None:
    return timezone.now() - timedelta(days=days) if days is not None else None


def _event_keys() -> tuple[int | None, int | None]:
    """The keys of the oldest event that is no error, and of the newest.

    Errors are kept for longer: by the oldest of them, all that was deleted behind it
    would count, too.
    """
    oldest = Event.objects.exclude(kind=Event.Kind.ERROR).order_by("pk")
    first = oldest.values_list("pk", flat=True).first()
    return first, Event.objects.aggregate(last=Max("pk"))["last"]


def _event_count() -> int:
    """About how many events there are: their keys count them, and go in their order."""
    first, last = _event_keys()
    return 0 if first is None or last is None else last - first + 1


def _event_bytes() -> float:
    """The mean size of an event, by a sample from all over the table."""
    first, last = _event_keys()
    if first is None or last is None:
        return EVENT_BYTES
    step = max((last - first) // SAMPLE, 1)
    texts = Length("text") + Length("path") + Length("username") + Length("detail")
    sample = Event.objects.filter(pk__in=range(first, last + 1, step)[: 2 * SAMPLE])
    return (sample.aggregate(mean=Avg(texts))["mean"] or 0) + EVENT_BYTES


def _connection_bytes() -> float:
    newest = Connection.objects.order_by("-opened_at").values("pk")[:SAMPLE]
    sample = Connection.objects.filter(pk__in=list(newest.values_list("pk", flat=True)))
    scope = Length(Cast("scope", TextField()))
    return (sample.aggregate(mean=Avg(scope))["mean"] or 0) + CONNECTION_BYTES
