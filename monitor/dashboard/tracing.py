"""What staff do to traces: start them, and stop them."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from monitor.models import Connection, Trace
from monitor.processes.commands import announce
from monitor.recording.rules import Subject, Tracing
from monitor.scope import MASK

from .forms import TraceForm
from .policies import keeps_messages
from .traces import messages_url

Kind = Trace.Kind


def subjects(connection: Connection) -> dict[str, str]:
    """What of a connection can be traced: the values of traces by their kind."""
    closed = connection.closed_at is not None
    values = {
        Kind.CONNECTION: "" if closed else str(connection.pk),
        Kind.USER: connection.username,
        Kind.CLIENT: connection.client_host,
        # Where a part of the path was masked, nobody knows any more what it was.
        Kind.PATH: connection.path.replace(MASK, "*"),
    }
    if not keeps_messages(connection):
        del values[Kind.CONNECTION], values[Kind.PATH]
    return {str(kind): value for kind, value in values.items() if value}


def going_on(connection: Connection) -> list[Trace]:
    """The traces that run now and keep messages of this connection. One query."""
    if connection.closed_at:
        return []
    subject = Subject(
        connection.pk.hex, connection.username, connection.client_host, connection.path
    )
    return [
        trace
        for trace in Trace.objects.running()
        if Tracing(trace.pk, trace.kind, trace.value, 0, 0).fits(subject)
    ]


def ask(trace: Trace, user: Any) -> None:
    """Start a trace that a valid form has made, for a member of staff."""
    trace.asked_by = user
    trace.asked_by_name = user.get_username()
    trace.save()
    transaction.on_commit(announce)


def stop(traces: QuerySet[Trace], user: Any) -> int:
    """Stop those of the traces that go on; return how many there were.

    Who did is in the admin's history of each.
    """
    running = traces.filter(finished_at=None)
    keys = list(running.values_list("pk", flat=True))
    stopped = running.update(finished_at=Now(), result=Trace.Result.STOPPED)
    LogEntry.objects.log_actions(
        user.pk,
        Trace.objects.filter(pk__in=keys),
        CHANGE,
        change_message=_("Stopped."),
    )
    transaction.on_commit(announce)
    return stopped


@require_POST
def start_for_connection(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Start a trace of a connection, or of its user, its client or its path."""
    connection = get_object_or_404(Connection, pk=pk)
    kind = request.POST.get("kind", "")
    value = subjects(connection).get(kind, "")
    form = TraceForm({**request.POST.dict(), "value": value})
    if form.is_valid():
        trace = form.save(commit=False)
        user: Any = request.user
        ask(trace, user)
        LogEntry.objects.log_actions(user.pk, [trace], ADDITION)
        said = _("Tracing %(trace)s from now on.") % {"trace": trace}
        link = format_html('<a href="{}">{}</a>', messages_url(trace), _("Messages"))
        messages.success(request, format_html("{} {}", said, link))
    else:
        for errors in form.errors.values():
            messages.error(request, " ".join(str(error) for error in errors))
    return redirect("admin:monitor_live_connection", pk)


@require_POST
def stop_one(request: HttpRequest) -> HttpResponse:
    """Stop the trace that a button names."""
    key = request.POST.get("trace", "")
    if not key.isdecimal():
        raise Http404("No such trace")
    trace = get_object_or_404(Trace, pk=key)
    if stop(Trace.objects.filter(pk=trace.pk), request.user):
        messages.success(request, _("Stopped tracing %(trace)s.") % {"trace": trace})
    else:
        text = _("Tracing %(trace)s had ended already.")
        messages.info(request, text % {"trace": trace})
    if request.POST.get("next") == "trace":
        return redirect("admin:monitor_trace_change", trace.pk)
    return redirect("admin:monitor_live_changelist")
