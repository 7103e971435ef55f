"""What was recorded: lists of connections, events and actions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet, Value
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from monitor.dashboard import figures
from monitor.dashboard.feed import payload
from monitor.models import Action, Connection, Event

from .readonly import KeptWholeAdmin

TEXT_SHOWN = 120  # characters in a list


def link_to_connection(key: UUID | None) -> str:
    """A link to a connection's page; a dash if it is not known any more."""
    if key is None:
        return "–"
    url = reverse("admin:monitor_live_connection", args=[key])
    return format_html('<a href="{}">{}</a>', url, key)


@admin.register(Connection)
class ConnectionAdmin(KeptWholeAdmin):
    list_display = [
        *("opened", "who", "path", "client", "closed", "close_code", "cause"),
        *("messages_in", "messages_out"),
    ]
    list_filter = [
        ("closed_at", admin.EmptyFieldListFilter),
        *("cause", "opened_at", "route", "process"),
    ]
    search_fields = [
        *("username", "path", "client_host", "user_agent", "session_hash", "detail")
    ]
    date_hierarchy = "opened_at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connection]:
        return super().get_queryset(request).defer("scope")

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """A connection has one page, which says more than a form could."""
        try:
            key = UUID(unquote(object_id))
        except ValueError as error:
            raise Http404("No such connection") from error
        return redirect("admin:monitor_live_connection", key)

    @admin.display(description=_("opened"), ordering="opened_at")
    def opened(self, connection: Connection) -> str:
        return figures.moment(connection.opened_at)

    @admin.display(description=_("closed"), ordering="closed_at")
    def closed(self, connection: Connection) -> str:
        return figures.moment(connection.closed_at) if connection.closed_at else "–"

    @admin.display(description=_("user"), ordering="username")
    def who(self, connection: Connection) -> str:
        return connection.username or gettext("anonymous")


@admin.register(Event)
class EventAdmin(KeptWholeAdmin):
    list_display = ["moment", "kind", "who", "path", "client", "shown", "size"]
    list_filter = ["kind", "at", "connection__process"]
    list_select_related = False
    date_hierarchy = "at"
    fields = [
        *("moment", "kind", "who", "path", "client", "whole", "size", "code"),
        *("detail", "connection_page", "seq"),
    ]

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        # A search that finds a word tells that it is there.
        readable = request.user.has_perm("monitor.view_payload")
        return ["username", "path", "client", "detail", *(["text"] if readable else [])]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        # The admin takes filters on any field from the address: ?text__startswith=a
        # would read a text letter by letter.
        readable = request.user.has_perm("monitor.view_payload")
        if lookup.partition("__")[0] == "text" and not readable:
            return False
        return super().lookup_allowed(lookup, value, request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        """Without the right to read texts, they do not leave the database."""
        events = super().get_queryset(request)
        if request.user.has_perm("monitor.view_payload"):
            return events.annotate(readable=Value(True))
        return events.defer("text").annotate(readable=Value(False))

    @admin.display(description=_("time"), ordering="at")
    def moment(self, event: Event) -> str:
        return figures.moment(event.at)

    @admin.display(description=_("user"), ordering="username")
    def who(self, event: Event) -> str:
        return event.username or gettext("anonymous")

    @admin.display(description=_("text"))
    def shown(self, event: Any) -> str:
        code = f"{event.code} " if event.code else ""
        return Truncator(code + self.whole(event)).chars(TEXT_SHOWN)

    @admin.display(description=_("text"))
    def whole(self, event: Any) -> str:
        text = event.text if event.readable else ""
        return payload(event, text, event.readable)

    @admin.display(description=_("connection"))
    def connection_page(self, event: Event) -> str:
        return link_to_connection(event.connection_id)


@admin.register(Action)
class ActionAdmin(KeptWholeAdmin):
    list_display = ["asked", "kind", "target", "asked_by_name", "reason", "result"]
    list_filter = ["result", "kind", "asked_at"]
    search_fields = ["target", "asked_by_name", "reason", "detail"]
    date_hierarchy = "asked_at"
    fields = [
        *("asked", "asked_by_name", "kind", "target", "connection_page", "reason"),
        *("result", "detail", "finished_at"),
    ]

    @admin.display(description=_("asked"), ordering="asked_at")
    def asked(self, action: Action) -> str:
        return figures.moment(action.asked_at)

    @admin.display(description=_("connection"))
    def connection_page(self, action: Action) -> str:
        return link_to_connection(action.connection_id)
