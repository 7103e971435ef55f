"""What was recorded: lists of connections, events, gaps and actions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet, Value
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from monitor.dashboard import figures, gaps, traces
from monitor.dashboard.payload import Payload, payload
from monitor.models import Action, Connection, Event, Gap, Trace

from .readonly import KeptWholeAdmin

TEXT_SHOWN = 120  # characters in a list
KEY_LENGTH = 18  # digits that fit into any key of a trace
TRACE_TEXT_SHOWN = 600  # characters in the list of a trace's messages


def link_to_connection(key: UUID | None, text: str = "") -> str:
    """A link to a connection's page; a dash if it is not known any more."""
    if key is None:
        return "–"
    url = reverse("admin:monitor_live_connection", args=[key])
    return format_html('<a href="{}">{}</a>', url, text or key)


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


class OfTrace(admin.SimpleListFilter):
    """The messages of one trace: `?of_trace=` and its number."""

    title = _("trace")
    parameter_name = "of_trace"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(self.value() or "", "")]  # it is chosen elsewhere, by links

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        trace = _trace(self.value())
        return queryset.none() if trace is None else queryset.of_trace(trace)


@admin.register(Event)
class EventAdmin(KeptWholeAdmin):
    """All events; or the messages of one trace, if the address asks for it."""

    list_display = ["moment", "kind_shown", "who", "path", "shown", "size", "took"]
    list_filter = ["kind", "omission", "at", "connection__process"]
    list_select_related = False
    date_hierarchy = "at"
    change_list_template = "monitor/events.html"
    change_form_template = "monitor/event.html"

    class Media:
        css = {"all": ["monitor/monitor.css"]}

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What there is to say of an event: most have no traceback, no code."""
        if obj is None:
            return []
        parts = {
            "size": obj.size,
            "traceback": _payload(obj).traceback,
            "took_exactly": obj.handler_us is not None,
            "cause": obj.about_seq is not None,
            "trace_page": obj.trace_id is not None,
        }
        return [
            *("moment", "kind_shown", "who", "path", "client", "whole"),
            *(name for name, is_there in parts.items() if is_there),
            *("connection_page", "seq"),
        ]

    def get_list_display(self, request: HttpRequest) -> Any:
        if OfTrace.parameter_name not in request.GET:
            return super().get_list_display(request)
        return [
            *("clock", "direction", "who", "connection_link", "said", "size", "took")
        ]

    def get_list_filter(self, request: HttpRequest) -> Any:
        if OfTrace.parameter_name in request.GET:
            return [OfTrace]
        return super().get_list_filter(request)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        if OfTrace.parameter_name in request.GET:
            changelist.has_filters = False  # the texts need the room
        return changelist

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

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        trace = _trace(request.GET.get(OfTrace.parameter_name))
        if trace is not None and request.user.has_perm("monitor.view_trace"):
            title = gettext("Messages traced: %s") % trace
            facts = {"trace": trace, "progress": traces.progress(trace)}
            facts |= {"title": title, "state": traces.state(trace)}
            extra_context = {**facts, **(extra_context or {})}
        return super().changelist_view(request, extra_context)

    @admin.display(description=_("time"), ordering="at")
    def moment(self, event: Event) -> str:
        return figures.moment(event.at)

    @admin.display(description=_("time"), ordering="at")
    def clock(self, event: Event) -> str:
        at = timezone.localtime(event.at)
        html = '<time datetime="{}" title="{}">{}</time>'
        return format_html(html, at.isoformat(), at.isoformat(), figures.clock(at))

    @admin.display(description=_("kind"), ordering="kind")
    def kind_shown(self, event: Event) -> str:
        return _coloured(event, event.get_kind_display())

    @admin.display(description=_("direction"), ordering="kind")
    def direction(self, event: Event) -> str:
        is_out = event.kind == Event.Kind.SEND
        return _coloured(event, gettext("out") if is_out else gettext("in"))

    @admin.display(description=_("user"), ordering="username")
    def who(self, event: Event) -> str:
        return event.username or gettext("anonymous")

    @admin.display(description=_("text"))
    def shown(self, event: Any) -> str:
        return Truncator(str(_payload(event))).chars(TEXT_SHOWN)

    @admin.display(description=_("text"))
    def said(self, event: Any) -> str:
        return _said(_payload(event), TRACE_TEXT_SHOWN)

    @admin.display(description=_("text"))
    def whole(self, event: Any) -> str:
        return _said(_payload(event))

    @admin.display(description=_("traceback"))
    def traceback(self, event: Any) -> str:
        traceback = _payload(event).traceback
        return _html('<pre class="traceback" tabindex="0">{}</pre>', traceback)

    @admin.display(description=_("handler time"), ordering="handler_us")
    def took(self, event: Event) -> str:
        exactly = figures.exact_handler_time(event.handler_us)
        shown = figures.handler_time(event.handler_us)
        return format_html('<span title="{}">{}</span>', exactly, shown)

    @admin.display(description=_("handler time"))
    def took_exactly(self, event: Event) -> str:
        return figures.exact_handler_time(event.handler_us)

    @admin.display(description=_("caused by"))
    def cause(self, event: Any) -> str:
        """A link to the message that was being handled, if it is stored."""
        cause = Event.objects.filter(
            connection_id=event.connection_id, seq=event.about_seq
        ).only("pk", "kind")
        number = gettext("number %s") % event.about_seq
        if not (found := cause.first()):
            return number
        url = reverse("admin:monitor_event_change", args=[found.pk])
        words = f"{found.get_kind_display()}, {number}"
        return format_html('<a href="{}">{}</a>', url, words)

    @admin.display(description=_("trace"))
    def trace_page(self, event: Event) -> str:
        url = reverse("admin:monitor_trace_change", args=[event.trace_id])
        return format_html('<a href="{}">{}</a>', url, event.trace_id)

    @admin.display(description=_("connection"))
    def connection_link(self, event: Event) -> str:
        text = f"{event.path} {event.client}"
        return link_to_connection(event.connection_id, text)

    @admin.display(description=_("connection"))
    def connection_page(self, event: Event) -> str:
        return link_to_connection(event.connection_id)


def _trace(key: str | None) -> Trace | None:
    if key is None or not key.isdecimal() or len(key) > KEY_LENGTH:
        return None
    return Trace.objects.filter(pk=key).first()


def _payload(event: Any) -> Payload:
    return payload(event, event.text if event.readable else "", event.readable)


def _coloured(event: Event, word: str) -> str:
    return _html('<span class="cell kind-{}">{}</span>', event.kind, word)


def _said(said: Payload, limit: int | None = None) -> str:
    """A text as it was sent, and what is to be noted of it set apart."""
    text = said.text if limit is None else Truncator(said.text).chars(limit)
    space = " " if said.text and said.note else ""
    html = '<span class="said">{}</span>{}<span class="omitted">{}</span>'
    return _html(html, text, space, said.note)


def _html(html: str, *values: Any) -> str:
    """Within an element that the style of the monitor holds for."""
    return format_html('<div class="monitor">' + html + "</div>", *values)


@admin.register(Gap)
class GapAdmin(KeptWholeAdmin):
    list_display = ["span", "kind", "count_shown", "process"]
    list_filter = ["kind", "began_at", "process"]
    list_select_related = ["process"]
    date_hierarchy = "began_at"
    fields = ["kind", "count_shown", "began", "ended", "process"]

    @admin.display(description=_("when"), ordering="began_at")
    def span(self, gap: Gap) -> str:
        return gaps.span(gap)

    @admin.display(description=_("events"), ordering="count")
    def count_shown(self, gap: Gap) -> str:
        return figures.exact(gap.count)

    @admin.display(description=_("began"))
    def began(self, gap: Gap) -> str:
        return figures.moment(gap.began_at)

    @admin.display(description=_("ended"))
    def ended(self, gap: Gap) -> str:
        return figures.moment(gap.ended_at)


@admin.register(Action)
class ActionAdmin(KeptWholeAdmin):
    list_display = ["asked", "kind", "target", "asked_by_name", "reason", "result"]
    list_filter = ["result", "kind", "asked_at"]
    search_fields = ["target", "asked_by_name", "reason", "detail"]
    date_hierarchy = "asked_at"
    fields = [
        *("asked", "asked_by_name", "kind", "target", "connection_page", "process"),
        *("reason", "result", "detail", "finished_at", "asked_together"),
    ]

    @admin.display(description=_("asked"), ordering="asked_at")
    def asked(self, action: Action) -> str:
        return figures.moment(action.asked_at)

    @admin.display(description=_("asked together"))
    def asked_together(self, action: Action) -> str:
        url = reverse("admin:monitor_live_order", args=[action.order])
        return format_html('<a href="{}">{}</a>', url, gettext("What came of it"))

    @admin.display(description=_("connection"))
    def connection_page(self, action: Action) -> str:
        return link_to_connection(action.connection_id)
