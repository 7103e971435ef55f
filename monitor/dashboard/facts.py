"""What a connection's page tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from monitor.models import Connection, client_text
from monitor.scope import began_at

from . import figures, tracing
from .payload import payload
from .policies import in_force
from .viewer import Viewer

Context = dict[str, Any]


def account(connection: Connection, request: HttpRequest) -> Context | None:
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


def session(connection: Connection) -> Context | None:
    """What is known of the connection's session, if it had one."""
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


def scope(connection: Connection) -> list[tuple[str, list[tuple[str, str]]]]:
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


def recording(connection: Connection, viewer: Viewer) -> Context:
    """What is kept of the connection's messages now, and for which traces."""
    return {
        "in_force": in_force(connection),
        "may_open_policy": viewer.may("view_capturepolicy"),
        "traces": tracing.going_on(connection) if viewer.may("view_trace") else [],
    }


def events(connection: Connection, viewer: Viewer, limit: int) -> list[Context] | None:
    """The newest events of a connection, each with what the viewer may see of it."""
    if not viewer.may("view_event"):
        return None
    may_read = viewer.may("view_payload")
    newest = list(connection.events.order_by("-at", "-seq")[:limit])
    on_page = {event.seq for event in newest}
    return [
        {
            "event": event,
            "payload": payload(event, event.text, may_read),
            "took": figures.handler_time(event.handler_us),
            "took_exactly": figures.exact_handler_time(event.handler_us),
            "cause_is_on_page": event.about_seq in on_page,
        }
        for event in newest
    ]
