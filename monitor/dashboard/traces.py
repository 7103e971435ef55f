"""Whose messages are kept whole for a while, both ways, because staff asked."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import F, Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from monitor.models import Trace

from . import figures
from .rows import Cell, Row
from .viewer import Viewer

NAME = "traces"
PERMISSION = "view_trace"
SHOWN = 50
FINISHED_SHOWN = timedelta(hours=1)
VALUE_SHOWN = 80  # characters; the whole on hover


def query(viewer: Viewer) -> list[Row]:
    """Those that run, and those that ended lately; newest first. One query."""
    lately = Q(finished_at__gt=Now() - FINISHED_SHOWN)
    found = Trace.objects.filter(Q(finished_at=None) | lately).order_by(
        # The limit leaves out what has ended.
        F("finished_at").desc(nulls_first=True),
        "-started_at",
    )[:SHOWN]
    newest_first = sorted(found, key=lambda trace: trace.started_at, reverse=True)
    return [_row(trace, viewer) for trace in newest_first]


def state(trace: Trace) -> Cell:
    """Whether a trace goes on, and why not."""
    result = trace.result
    if not trace.finished_at:
        # The processes write the result, within seconds; unless there is none.
        if trace.ends_at <= timezone.now():
            result = Trace.Result.EXPIRED
        elif trace.bytes_kept >= trace.bytes_limit:
            result = Trace.Result.FULL
        else:
            return Cell("state", _("● running"), kind="live")
    return Cell("state", _("✓ %s") % Trace.Result(result).label, kind="over")


def runs(trace: Trace) -> bool:
    """Whether a trace goes on."""
    return state(trace).kind == "live"


def progress(trace: Trace) -> str:
    """How much of its size a trace has kept: "1.2 MiB of 10.0 MiB"."""
    return _("%(kept)s of %(limit)s") % {
        "kept": figures.size(trace.bytes_kept),
        "limit": figures.size(trace.bytes_limit),
    }


def messages_url(trace: Trace) -> str:
    """The address of the list of a trace's messages."""
    return f"{reverse('admin:monitor_event_changelist')}?of_trace={trace.pk}"


def _row(trace: Trace, viewer: Viewer) -> Row:
    going_on = runs(trace)
    asked_at = timezone.localtime(trace.started_at).isoformat(" ", "seconds")
    cells = [
        state(trace),
        Cell(
            "of",
            Truncator(str(trace)).chars(VALUE_SHOWN),
            title=str(trace),
            url=reverse("admin:monitor_trace_change", args=[trace.pk]),
        ),
        Cell("by", trace.asked_by_name, title=_("Asked at %s") % asked_at),
        Cell("left", until=trace.ends_at) if going_on else Cell("left", "–"),
        Cell("size", progress(trace)),
    ]
    if viewer.may("view_event"):
        cells.append(Cell("messages", _("Messages"), url=messages_url(trace)))
    if viewer.may("change_trace"):
        cells.append(_stop_button(trace) if going_on else Cell("trace"))
    return Row(id=f"trace-{trace.pk}", cells=tuple(cells))


def _stop_button(trace: Trace) -> Cell:
    label = _("Stop tracing %s") % Truncator(str(trace)).chars(VALUE_SHOWN)
    return Cell("trace", _("Stop"), value=str(trace.pk), label=label)
