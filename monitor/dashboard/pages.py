"""The dashboard's pages over HTTP: the first look, and what staff ask for."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from monitor.conf import settings
from monitor.models import Action, Connection, client_text
from monitor.processes.commands import announce
from monitor.scope import began_at, clean

from . import figures
from .board import sections
from .feed import payload
from .viewer import Viewer

EVENTS_SHOWN = 200
REASON_LIMIT = 120  # characters; a close frame takes 123 bytes (RFC 6455, 5.5)
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
            "may_disconnect": viewer.may("disconnect_connection"),
        },
    )


@require_GET
def connection(request: HttpRequest, pk: uuid.UUID, context: Context) -> HttpResponse:
    """Everything about one connection, also after it closed."""
    viewer = Viewer.of(request.user)
    connection = get_object_or_404(Connection.objects.select_related("process"), pk=pk)
    is_live = Connection.objects.live().filter(pk=pk).exists()
    actions = _actions(pk, viewer)
    return render(
        request,
        "monitor/connection.html",
        {
            **context,
            "title": str(connection),
            "connection": connection,
            "is_live": is_live,
            "account": _account(connection, request),
            "bytes_in": figures.size(connection.bytes_in),
            "bytes_out": figures.size(connection.bytes_out),
            "session": _session(connection),
            "scope": _scope(connection),
            "events_shown": EVENTS_SHOWN,
            "events": _events(connection, viewer),
            "actions": actions,
            "asked_by": _asked_by(actions),
            "reason_limit": REASON_LIMIT,
            "may_disconnect": viewer.may("disconnect_connection"),
        },
    )


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
    keys = _uuids(request.POST.getlist("connection"))
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
        Action.objects.bulk_create(
            _action(connection, reason, request.user) for connection in found
        )
        announce()
        text = ngettext(
            "Asked for %d connection to be closed.",
            "Asked for %d connections to be closed.",
            len(found),
        )
        messages.success(request, text % len(found))
    return redirect(place)


def _action(connection: Connection, reason: str, user: Any) -> Action:
    gone = connection.closed_at or connection.process.stopped_at
    return Action(
        kind=Action.Kind.DISCONNECT,
        connection=connection,
        target=f"{connection} ({connection.client})"[:500],
        asked_by=user,
        asked_by_name=user.get_username(),
        reason=reason,
        result=Action.Result.GONE if gone else Action.Result.PENDING,
        finished_at=timezone.now() if gone else None,
    )


def _uuids(texts: list[str]) -> list[uuid.UUID]:
    try:
        return [uuid.UUID(text) for text in texts]
    except ValueError as error:
        raise Http404("No such connection") from error


def _account(connection: Connection, request: HttpRequest) -> Context | None:
    """Whose connection it is: the user as they are now, if they still exist."""
    user_model = get_user_model()
    users: Any = user_model._default_manager
    user = users.filter(pk=connection.user_id).first()
    if user is None:
        return None
    label = user_model._meta.label_lower.replace(".", "_")
    try:
        url = reverse(f"admin:{label}_change", args=[user.pk])
    except NoReverseMatch:  # the project's admin has no page for users
        url = ""
    may_view = request.user.has_perm(
        f"{user_model._meta.app_label}.view_{user_model._meta.model_name}"
    )
    return {
        "user": user,
        "groups": [group.name for group in user.groups.all()]
        if hasattr(user, "groups")
        else [],
        "url": url if may_view else "",
    }


def _session(connection: Connection) -> Context | None:
    facts = connection.scope.get("session")
    if not facts:
        return None
    began = began_at(facts)
    return {
        **facts,
        "began_at": began,
        "age": timezone.now() - began if began else None,
        "expires_at": connection.session_expires_at,
    }


def _scope(connection: Connection) -> list[tuple[str, list[tuple[str, str]]]]:
    """The scope, a list of names and values for each of its entries.

    But for the session, which has a place of its own.
    """
    return [
        (name, list(_flat(name, value)))
        for name, value in connection.scope.items()
        if name != "session"
    ]


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for inner, item in value.items():
                yield (
                    inner,
                    " ".join(" ".join(pair).strip() for pair in _flat("", item)),
                )
        case [str(host), port] if name in ("client", "server"):
            yield "", client_text(host, port)
        case list():
            yield "", ", ".join(str(item) for item in value)
        case _:
            yield "", str(value)


def _events(connection: Connection, viewer: Viewer) -> list[Context] | None:
    if not viewer.may("view_event"):
        return None
    may_read = viewer.may("view_payload")
    newest = connection.events.order_by("-at", "-seq")[:EVENTS_SHOWN]
    return [
        {"event": event, "payload": payload(event, event.text, may_read)}
        for event in newest
    ]


def _asked_by(actions: list[Action]) -> str:
    """Who closed the connection, if staff did and the viewer may know."""
    done = [action for action in actions if action.result == Action.Result.DONE]
    return done[0].asked_by_name if done else ""


def _actions(pk: uuid.UUID, viewer: Viewer) -> list[Action]:
    if not viewer.may("view_action"):
        return []
    return list(Action.objects.filter(connection_id=pk))
