"""What staff asked for lately, and what came of it."""

from __future__ import annotations

from django.urls import reverse
from django.utils import timezone

from monitor.models import Action

from . import figures
from .rows import Cell, Row
from .viewer import Viewer

NAME = "actions"
PERMISSION = "view_action"
SHOWN = 10


def query(viewer: Viewer) -> list[Row]:
    """The newest actions. One query."""
    newest = Action.objects.order_by("-pk")[:SHOWN]  # their ids tell the time
    return [_row(action) for action in newest]


def _row(action: Action) -> Row:
    at = timezone.localtime(action.asked_at)
    return Row(
        id=f"action-{action.pk}",
        cells=(
            Cell("at", figures.clock(at)[:8], title=at.isoformat()),
            Cell("by", action.asked_by_name),
            Cell("kind", action.get_kind_display()),
            Cell(
                "target",
                action.target,
                url=reverse(
                    "admin:monitor_live_connection", args=[action.connection_id]
                )
                if action.connection_id
                else "",
            ),
            Cell("reason", action.reason),
            Cell(
                "result",
                action.get_result_display(),
                title=action.detail,
                kind=f"result-{action.result}",
            ),
        ),
    )
