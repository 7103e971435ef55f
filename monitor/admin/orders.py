"""What staff want to be kept, and kept out: traces, capture policies and blocks."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape, format_html
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from monitor.dashboard import asking, figures, policies, traces, tracing
from monitor.dashboard.forms import BlockForm, CapturePolicyForm, TraceForm
from monitor.models import Block, CapturePolicy, Trace
from monitor.processes.commands import announce

from .readonly import KeptWholeAdmin


class StateFilter(admin.SimpleListFilter):
    """Traces that go on, or that are over."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [("running", _("running")), ("over", _("over"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Trace]) -> Any:
        running = Trace.objects.running()
        match self.value():
            case "running":
                return queryset.filter(pk__in=running)
            case "over":
                return queryset.exclude(pk__in=running)
        return queryset


@admin.register(Trace)
class TraceAdmin(KeptWholeAdmin):
    """Traces are started and stopped; what they are about is never changed."""

    form = TraceForm
    list_display = ["what", "state", "kept", "asked_by_name", "started"]
    list_filter = [StateFilter]
    date_hierarchy = "started_at"
    search_fields = ["value", "asked_by_name"]
    fields = ["kind", "value", "minutes", "mebibytes"]
    actions = ["stop_chosen"]
    change_form_template = "monitor/trace.html"
    change_list_template = "monitor/trace_list.html"

    class Media:
        css = {"all": ["monitor/monitor.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("monitor.add_trace")

    def has_stop_permission(self, request: HttpRequest) -> bool:
        """Asked for by the action below."""
        return request.user.has_perm("monitor.change_trace")

    def get_fields(self, request: HttpRequest, obj: Trace | None = None) -> Any:
        if obj is None:
            return super().get_fields(request)
        return [
            *("whole", "asked_by_name", "started", "ends", "finished", "state", "size")
        ]

    def save_model(
        self, request: HttpRequest, obj: Trace, form: Any, change: bool
    ) -> None:
        tracing.ask(obj, request.user)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        trace = self.get_object(request, unquote(object_id))
        facts = {} if trace is None else self._facts(request, trace)
        context = {**facts, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def _facts(self, request: HttpRequest, trace: Trace) -> dict[str, Any]:
        may_look = request.user.has_perm("monitor.view_event")
        may_stop = self.has_stop_permission(request) and traces.runs(trace)
        return {
            "messages_url": traces.messages_url(trace) if may_look else "",
            "may_stop": may_stop,
        }

    @admin.action(description=_("Stop the chosen traces"), permissions=["stop"])
    def stop_chosen(self, request: HttpRequest, chosen: QuerySet[Trace]) -> None:
        count = tracing.stop(chosen, request.user)
        text = ngettext("Stopped %d trace.", "Stopped %d traces.", count)
        messages.success(request, text % count)

    @admin.display(description=_("of"), ordering="value")
    def what(self, trace: Trace) -> str:
        return Truncator(str(trace)).chars(traces.VALUE_SHOWN)

    @admin.display(description=_("of"))
    def whole(self, trace: Trace) -> str:
        return str(trace)

    @admin.display(description=_("started"), ordering="started_at")
    def started(self, trace: Trace) -> str:
        return figures.moment(trace.started_at)

    @admin.display(description=_("ends"), ordering="ends_at")
    def ends(self, trace: Trace) -> str:
        return figures.moment(trace.ends_at)

    @admin.display(description=_("finished"))
    def finished(self, trace: Trace) -> str:
        return figures.moment(trace.finished_at) if trace.finished_at else "–"

    @admin.display(description=_("state"), ordering="result")
    def state(self, trace: Trace) -> str:
        return traces.state(trace).text

    @admin.display(description=_("size"), ordering="bytes_kept")
    def kept(self, trace: Trace) -> str:
        return figures.size(trace.bytes_kept)

    @admin.display(description=_("size"))
    def size(self, trace: Trace) -> str:
        return traces.progress(trace)


@admin.register(Block)
class BlockAdmin(KeptWholeAdmin):
    """Blocks are made and lifted; whom they are about is never changed."""

    form = BlockForm
    list_display = ["value", "kind", "state", "reason", "asked_by_name", "began"]
    list_filter = ["kind", "began_at"]
    date_hierarchy = "began_at"
    search_fields = ["value", "reason", "asked_by_name"]
    fields = ["kind", "value", "seconds", "reason"]
    actions = ["lift_chosen"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("monitor.add_block")

    def has_lift_permission(self, request: HttpRequest) -> bool:
        """Asked for by the action below."""
        return request.user.has_perm("monitor.change_block")

    def get_fields(self, request: HttpRequest, obj: Block | None = None) -> Any:
        if obj is None:
            return super().get_fields(request)
        return [
            *("kind", "value", "state", "reason", "asked_by_name", "began"),
            *("ends", "lifted"),
        ]

    def save_model(
        self, request: HttpRequest, obj: Block, form: Any, change: bool
    ) -> None:
        asking.sign(obj, request.user)
        super().save_model(request, obj, form, change)
        transaction.on_commit(announce)
        if order := asking.put_out(obj, request.user):
            words = _("Who was connected is being disconnected.")
            link = reverse("admin:monitor_live_order", args=[order])
            text = '{} <a href="{}">{}</a>'
            messages.info(request, format_html(text, words, link, _("See the results")))

    @admin.action(description=_("Lift the chosen blocks"), permissions=["lift"])
    def lift_chosen(self, request: HttpRequest, chosen: QuerySet[Block]) -> None:
        name = request.user.get_username()
        count = chosen.in_force().update(lifted_at=Now(), lifted_by_name=name)  # type: ignore[attr-defined]
        text = ngettext("Lifted %d block.", "Lifted %d blocks.", count)
        messages.success(request, text % count)
        transaction.on_commit(announce)

    @admin.display(description=_("state"))
    def state(self, block: Block) -> str:
        if block.lifted_at:
            return gettext("✕ lifted")
        if block.ends_at is None:
            return gettext("● in force, for ever")
        left = block.ends_at - timezone.now()
        if left.total_seconds() <= 0:
            return gettext("✕ over")
        return gettext("● in force for another %s") % figures.duration(left)

    @admin.display(description=_("began"), ordering="began_at")
    def began(self, block: Block) -> str:
        return figures.moment(block.began_at)

    @admin.display(description=_("ends"))
    def ends(self, block: Block) -> str:
        return figures.moment(block.ends_at) if block.ends_at else gettext("never")

    @admin.display(description=_("lifted"))
    def lifted(self, block: Block) -> str:
        if block.lifted_at is None:
            return "–"
        return f"{figures.moment(block.lifted_at)}, {block.lifted_by_name}"


@admin.register(CapturePolicy)
class CapturePolicyAdmin(admin.ModelAdmin):
    """How much is kept of which paths. Every process hears of a change at once."""

    form = CapturePolicyForm
    list_display = ["pattern", "level", "changed"]
    search_fields = ["pattern"]
    change_list_template = "monitor/policies.html"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        help = gettext(
            "A policy goes before the settings, and acts on open connections, too. "
            "Where several fit a path, the longest decides."
        )
        description = escape(f"{help} {policies.otherwise()}")
        fields = ["pattern", "level"]
        return [(None, {"fields": fields, "description": description})]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"otherwise": policies.otherwise(), **(extra_context or {})}
        return super().changelist_view(request, context)

    @admin.display(description=_("changed"), ordering="changed_at")
    def changed(self, policy: CapturePolicy) -> str:
        return figures.moment(policy.changed_at)

    def save_model(self, *args: Any) -> None:
        super().save_model(*args)
        transaction.on_commit(announce)

    def delete_model(self, *args: Any) -> None:
        super().delete_model(*args)
        transaction.on_commit(announce)

    def delete_queryset(self, *args: Any) -> None:
        super().delete_queryset(*args)
        transaction.on_commit(announce)
