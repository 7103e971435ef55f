"""What has just happened: the newest events."""

from __future__ import annotations

from typing import Any

from django.db.models.functions import Substr
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from monitor.conf import settings
from monitor.models import Event

from . import figures
from .payload import payload
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


def _row(event: Any, may_read: bool) -> Row:
    at = timezone.localtime(event.at)
    page = reverse("admin:monitor_live_connection", args=[event.connection_id])
    took = event.handler_us
    return Row(
        id=f"event-{event.pk}",
        cells=(
            Cell("at", figures.clock(at), title=at.isoformat()),
            Cell(
                "user",
                event.username or _("anonymous"),
                kind="" if event.username else "anonymous",
                url=page,
            ),
            Cell("kind", event.get_kind_display(), kind=f"kind-{event.kind}"),
            Cell("path", event.path, title=event.path),
            _text(event, page, may_read),
            Cell(
                "took",
                figures.handler_time(took),
                title=figures.exact_handler_time(took),
            ),
        ),
    )


def _text(event: Any, page: str, may_read: bool) -> Cell:
    """What was said, or what happened; an error leads to what caused it."""
    said = payload(event, event.start, may_read, whole=False)
    cause = event.about_seq
    return Cell(
        "text",
        said.text or said.note,
        title=said.note if said.text else "",
        kind="" if said.text else "omitted",
        url=f"{page}#event-{cause}" if cause is not None else "",
    )
