"""Who is connected: the open connections, newest first."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils.translation import gettext as _

from monitor.conf import settings
from monitor.models import Connection, Process

from . import figures
from .rows import Cell, Row
from .viewer import Viewer

NAME = "connections"
PERMISSION = "view_connection"


def query(viewer: Viewer) -> list[Row]:
    """The newest `MONITOR_LIVE_ROWS` of the open connections. One query.

    Those of a process that has not been heard of for a while are shown, too, as
    unknown: nobody can tell whether they still live.
    """
    alive = Process.objects.alive().filter(pk=OuterRef("process_id"))
    connections = (
        Connection.objects.open()
        .filter(process__stopped_at=None)
        .annotate(live=Exists(alive))
        .select_related("process")
        .defer("scope", "process__traffic")
        .order_by("-opened_at", "-pk")[: settings.LIVE_ROWS]
    )
    choosable = viewer.may("disconnect_connection")
    return [_row(connection, choosable) for connection in connections]


def _row(connection: Any, choosable: bool) -> Row:
    name = connection.username or _("anonymous")
    path = connection.path
    return Row(
        id=f"connection-{connection.pk}",
        choice=str(connection.pk) if choosable else "",
        label=_("Select %(user)s on %(path)s") % {"user": name, "path": path},
        cells=(
            _state(connection),
            Cell(
                "user",
                name,
                kind="" if connection.username else "anonymous",
                url=reverse("admin:monitor_live_connection", args=[connection.pk]),
            ),
            Cell("client", connection.client, title=connection.user_agent),
            Cell("path", path, title=path),
            Cell("since", since=connection.opened_at),
            Cell("idle", since=connection.idle_since),
            _count("in", connection.messages_in),
            _count("out", connection.messages_out),
            _bytes("bytes-in", connection.bytes_in),
            _bytes("bytes-out", connection.bytes_out),
            Cell("process", connection.process.name),
        ),
    )


def _state(connection: Any) -> Cell:
    if not connection.live:
        title = _("Nothing was heard of its process for a while.")
        return Cell("state", _("◌ unknown"), title=title, kind="unknown")
    if connection.accepted_at is None:
        title = _("The application has not accepted it yet.")
        return Cell("state", _("◔ opening"), title=title, kind="opening")
    return Cell("state", _("● live"), kind="live")


def _count(name: str, value: int) -> Cell:
    return Cell(name, figures.number(value), title=figures.exact(value))


def _bytes(name: str, value: int) -> Cell:
    return Cell(name, figures.size(value), title=figures.exact(value))
