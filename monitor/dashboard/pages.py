"""The dashboard's pages over HTTP: the first look, and what staff ask for."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from django.contrib import messages
from django.core.checks import ERROR
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_POST

from monitor import doctor
from monitor.conf import settings
from monitor.limits import Limit, limits
from monitor.models import Action, Connection
from monitor.scope import clean

from . import asking, facts, figures, tracing
from .board import sections
from .forms import LARGEST, REASON_LIMIT, uuids
from .viewer import Viewer

logger = logging.getLogger("channelscope.monitor")

EVENTS_SHOWN = 200
TRACE_MINUTES = {
    10: gettext_lazy("10 minutes"),
    60: gettext_lazy("1 hour"),
    1440: gettext_lazy("24 hours"),
}
Context = dict[str, Any]


@require_GET
def live(request: HttpRequest, context: Context) -> HttpResponse:
    """The dashboard as it is now; its socket keeps it so."""
    viewer = Viewer.of(request.user)
    return render(
        request,
        "monitor/live.html",
        {
            **context,
            "title": _("Live"),
            "is_recording": settings.ENABLED,
            "sections": sections(viewer),
            "limits": _limits(),
            "may_disconnect": viewer.may("disconnect_connection"),
            "may_trace": viewer.may("add_trace"),
            "may_drain": viewer.may("drain_process"),
            "may_stop": viewer.may("change_trace"),
        },
    )


def _limits() -> list[Limit]:
    try:
        return limits()
    except Exception:
        # It is the application's; the dashboard is needed without it, too.
        logger.exception("MONITOR_LIMITS, %s, failed", settings.LIMITS)
        return []


@require_GET
def connection(request: HttpRequest, pk: uuid.UUID, context: Context) -> HttpResponse:
    """Everything about one connection, also after it closed."""
    viewer = Viewer.of(request.user)
    connection = get_object_or_404(Connection.objects.select_related("process"), pk=pk)
    is_live = Connection.objects.live().filter(pk=pk).exists()
    actions = _actions(pk, viewer)
    may_trace = viewer.may("add_trace")
    return render(
        request,
        "monitor/connection.html",
        {
            **context,
            "title": str(connection),
            "connection": connection,
            "is_live": is_live,
            "account": facts.account(connection, request),
            "bytes_in": figures.size(connection.bytes_in),
            "bytes_out": figures.size(connection.bytes_out),
            "session": facts.session(connection),
            "recording": facts.recording(connection, viewer),
            "scope": facts.scope(connection),
            "events_shown": EVENTS_SHOWN,
            "events": facts.events(connection, viewer, EVENTS_SHOWN),
            "subjects": tracing.subjects(connection) if may_trace else {},
            "durations": TRACE_MINUTES,
            "largest": LARGEST,
            "actions": actions,
            "asked_by": _asked_by(actions),
            "reason_limit": REASON_LIMIT,
            "may_disconnect": viewer.may("disconnect_connection"),
            "others": asking.others(connection) if _may_act(viewer) else [],
        },
    )


@require_GET
def setup(request: HttpRequest, context: Context) -> HttpResponse:
    """What of the set-up will go wrong, and how to mend it."""
    found = [
        {"is_error": message.level >= ERROR, "message": message}
        for message in doctor.examine()
    ]
    title = _("Set-up")
    return render(
        request, "monitor/setup.html", {**context, "title": title, "found": found}
    )


def _may_act(viewer: Viewer) -> bool:
    return any(map(viewer.may, asking.PERMISSIONS.values()))


@require_GET
def actions(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The fragment that says what came of the actions on a connection."""
    found = _actions(pk, Viewer.of(request.user))
    response = render(
        request, "monitor/_connection_actions.html", {"pk": pk, "actions": found}
    )
    if all(action.result != Action.Result.PENDING for action in found):
        # The rest of the page tells of an open connection: htmx loads it again.
        response["HX-Refresh"] = "true"
    return response


@require_POST
def disconnect(request: HttpRequest) -> HttpResponse:
    """Ask for connections to be closed: an action for each, with the reason."""
    reason = " ".join(clean(request.POST.get("reason", "")).split())
    keys = uuids(request.POST.getlist("connection"))
    found = list(Connection.objects.filter(pk__in=keys).select_related("process"))
    back = request.POST.get("next") == "connection" and len(found) == 1
    place = (
        reverse("admin:monitor_live_connection", args=[found[0].pk])
        if back
        else reverse("admin:monitor_live_changelist")
    )
    if not found:
        messages.error(request, _("Choose the connections to disconnect first."))
    elif not reason or len(reason) > REASON_LIMIT:
        text = _("Give a reason of at most %d characters; the user will read it.")
        messages.error(request, text % REASON_LIMIT)
    else:
        asking.disconnect(found, reason, request.user)
        text = ngettext(
            "Asked for %d connection to be closed.",
            "Asked for %d connections to be closed.",
            len(found),
        )
        messages.success(request, text % len(found))
    return redirect(place)


def _asked_by(actions: list[Action]) -> str:
    """Who closed the connection, if staff did and the viewer may know."""
    done = [action for action in actions if action.result == Action.Result.DONE]
    return done[0].asked_by_name if done else ""


def _actions(pk: uuid.UUID, viewer: Viewer) -> list[Action]:
    if not viewer.may("view_action"):
        return []
    return list(Action.objects.filter(connection_id=pk))
