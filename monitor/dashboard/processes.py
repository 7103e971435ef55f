"""Which processes serve, and how their recording fares."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Exists, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.translation import gettext as _

from monitor.models import Connection, Process

from . import figures
from .rows import Cell, Row
from .viewer import Viewer

NAME = "processes"
PERMISSION = "view_process"
SHOWN = 50


def query(viewer: Viewer) -> list[Row]:
    """The processes that have not stopped, newest first. One query."""
    # A join would go through all connections that each process has ever had.
    held = (
        Connection.objects.open()
        .filter(process=OuterRef("pk"))
        .order_by()
        .values("process")
        .values_list(Count("pk"))
    )
    alive = Process.objects.alive().filter(pk=OuterRef("pk"))
    processes = (
        Process.objects.filter(stopped_at=None)
        .annotate(alive=Exists(alive), held=Coalesce(Subquery(held), 0))
        .order_by("-started_at")[:SHOWN]
    )
    may_drain = viewer.may("drain_process")
    return [_row(process, may_drain) for process in processes]


def _row(process: Any, may_drain: bool) -> Row:
    ask = f"{reverse('admin:monitor_live_ask')}?process={process.pk}"
    drain = [Cell("drain", _("drain…"), url=ask)] if may_drain else []
    return Row(
        id=f"process-{process.pk}",
        cells=(
            _state(process),
            Cell("name", process.name, title=f"PID {process.pid}, {process.host}"),
            Cell("server", process.server),
            Cell("since", since=process.started_at),
            Cell("held", figures.exact(process.held)),
            Cell("journal", figures.size(process.journal_bytes)),
            _lost(process),
            *drain,
        ),
    )


def _lost(process: Any) -> Cell:
    """What this process could not record, or not whole."""
    lost = process.dropped + process.failures + process.set_aside
    text = figures.exact(lost)
    if process.shed:
        text = _("%(lost)s, %(shed)s texts") % {
            "lost": text,
            "shed": figures.number(process.shed),
        }
    title = _(
        "%(dropped)d dropped, %(failures)d failures, %(aside)d set aside, "
        "%(shed)d texts left out, %(drift)d rows mended"
    ) % {
        "dropped": process.dropped,
        "failures": process.failures,
        "aside": process.set_aside,
        "shed": process.shed,
        "drift": process.drift,
    }
    return Cell("lost", text, title=title, kind="bad" if lost or process.shed else "")


def _state(process: Any) -> Cell:
    if process.alive:
        return Cell("state", _("● alive"), kind="live")
    title = _("No heartbeat for a while: paused, cut off or dead.")
    return Cell("state", _("◌ unknown"), title=title, kind="unknown")
