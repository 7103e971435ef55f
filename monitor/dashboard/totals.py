"""How much is going on: connections, users, messages a second."""

from __future__ import annotations

import time

from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from monitor.conf import settings
from monitor.models import Connection, Process
from monitor.processes.traffic import rates, series

from . import figures, gaps
from .rows import Cell, Row
from .viewer import Viewer

NAME = "totals"
PERMISSION = "view_connection"


def query(viewer: Viewer) -> list[Row]:
    """One row: what all processes together do now. Three queries."""
    live = Connection.objects.live().aggregate(
        connections=Count("pk"), users=Count("user_id", distinct=True)
    )
    processes = list(Process.objects.alive().only("traffic", "dropped", "failures"))
    minute = series((process.traffic for process in processes), int(time.time()))
    now = rates(minute)
    lost = sum(process.dropped + process.failures for process in processes)
    return [
        Row(
            id=NAME,
            cells=(
                _count("connections", live["connections"]),
                _count("users", live["users"]),
                Cell("in", figures.rate(now.messages_in)),
                Cell("out", figures.rate(now.messages_out)),
                Cell("in_minute", points=_points([bucket[0] for bucket in minute])),
                Cell("out_minute", points=_points([bucket[1] for bucket in minute])),
                Cell("cut", _cut(live["connections"])),
                Cell("lost", figures.number(lost), kind="bad" if lost else ""),
                _gaps(viewer),
            ),
        )
    ]


def _gaps(viewer: Viewer) -> Cell:
    count = gaps.lately().count() if viewer.may(gaps.PERMISSION) else 0
    if not count:
        return Cell("gaps")
    text = ngettext("▲ %d gap in 24 h", "▲ %d gaps in 24 h", count)
    return Cell("gaps", text % count, kind="bad", url="#gaps-title")


def _cut(count: int) -> str:
    if count <= settings.LIVE_ROWS:
        return ""
    return _("The newest %(shown)s of %(count)s are shown here.") % {
        "shown": figures.exact(settings.LIVE_ROWS),
        "count": figures.exact(count),
    }


def _count(name: str, value: int) -> Cell:
    return Cell(name, figures.number(value), title=figures.exact(value))


def _points(values: list[int]) -> tuple[float, ...]:
    highest = max(values)
    return tuple(round(value / highest, 2) if highest else 0.0 for value in values)
