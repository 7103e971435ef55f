"""What could not be kept lately. Nobody may overlook it."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from monitor.models import Gap

from . import figures
from .rows import Cell, Row
from .viewer import Viewer

NAME = "gaps"
PERMISSION = "view_gap"
SHOWN = 50
LATELY = timedelta(hours=24)


def query(viewer: Viewer) -> list[Row]:
    """The gaps of the last 24 hours, newest first. One query."""
    found = lately().select_related("process").defer("process__traffic")
    return [_row(gap) for gap in found.order_by("-began_at", "-pk")[:SHOWN]]


def lately() -> QuerySet[Gap]:
    """The gaps that ended within the last 24 hours."""
    return Gap.objects.filter(ended_at__gt=Now() - LATELY)


def span(gap: Gap) -> str:
    """From when to when: "2026-11-22 10:03:07 – 10:05:41"."""
    began, ended = timezone.localtime(gap.began_at), timezone.localtime(gap.ended_at)
    same_day = began.date() == ended.date()
    return _("%(began)s – %(ended)s") % {
        "began": f"{began:%Y-%m-%d %H:%M:%S}",
        "ended": f"{ended:%H:%M:%S}" if same_day else f"{ended:%Y-%m-%d %H:%M:%S}",
    }


def _row(gap: Gap) -> Row:
    exactly = f"{gap.began_at.isoformat()} – {gap.ended_at.isoformat()}"
    return Row(
        id=f"gap-{gap.pk}",
        cells=(
            Cell("what", _("▲ %s") % gap.get_kind_display(), kind="bad"),
            Cell("count", figures.number(gap.count), title=figures.exact(gap.count)),
            Cell("when", span(gap), title=exactly),
            Cell("process", gap.process.name),
        ),
    )
