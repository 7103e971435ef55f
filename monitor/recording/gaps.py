"""What could not be kept becomes a row: how much, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import F

from monitor.models import Gap

SAME_GAP = timedelta(seconds=60)  # what is lost within it belongs to one gap


@dataclass
class Loss:
    """Events that were not kept, or not whole."""

    began_at: int  # microseconds since 1970
    ended_at: int
    count: int = 0


def write_gap(process_id: str, kind: Gap.Kind, loss: Loss) -> None:
    """Note a loss, together with what was lost shortly before."""
    began_at, ended_at = _moment(loss.began_at), _moment(loss.ended_at)
    before = Gap.objects.filter(
        process_id=process_id, kind=kind, ended_at__gte=began_at - SAME_GAP
    ).first()
    if before is None:
        facts = {"began_at": began_at, "ended_at": ended_at, "count": loss.count}
        Gap.objects.create(process_id=process_id, kind=kind, **facts)
    else:
        Gap.objects.filter(pk=before.pk).update(
            count=F("count") + loss.count, ended_at=ended_at
        )


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)
