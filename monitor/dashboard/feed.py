"""What has just happened: the newest events."""

from __future__ import annotations

from typing import Any

from django.db.models.functions import Substr
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from monitor.conf import settings
from monitor.models import Event
from monitor.scope import MASK

from . import figures
from .rows import Cell, Row
from .viewer import Viewer

NAME = "feed"
PERMISSION = "view_event"
TEXT_SHOWN = 300  # characters; the whole is on the connection's page


def query(viewer: Viewer) -> list[Row]:
    """The newest `MONITOR_FEED_ROWS` events. One query.

    Asked as a fresh page would: ids of several processes do not become visible in
    their order, so "newer than the last one seen" would miss some.
    """
    events = (
        Event.objects.annotate(start=Substr("text", 1, TEXT_SHOWN))
        .defer("text")
        .order_by("-at", "-seq")[: settings.FEED_ROWS]
    )
    may_read = viewer.may("view_payload")
    return [_row(event, may_read) for event in events]


def payload(event: Event, text: str, may_read: bool) -> str:
    """The text of a message, or its size for those who may not read it."""
    if event.kind == Event.Kind.ERROR and may_read:
        return f"{event.detail}: {text}"
    if event.kind != Event.Kind.RECEIVE:
        return event.detail
    if not may_read:
        return f"{MASK} {figures.size(event.size)}"
    if text or not event.size:
        return text
    return _("binary, %s") % figures.size(event.size)


def _row(event: Any, may_read: bool) -> Row:
    at = timezone.localtime(event.at)
    code = f"{event.code} " if event.code else ""
    return Row(
        id=f"event-{event.pk}",
        cells=(
            Cell("at", figures.clock(at), title=at.isoformat()),
            Cell(
                "user",
                event.username or _("anonymous"),
                kind="" if event.username else "anonymous",
                url=reverse(
                    "admin:monitor_live_connection", args=[event.connection_id]
                ),
            ),
            Cell("kind", event.get_kind_display(), kind=f"kind-{event.kind}"),
            Cell("path", event.path, title=event.path),
            Cell("text", code + payload(event, event.start, may_read)),
        ),
    )
