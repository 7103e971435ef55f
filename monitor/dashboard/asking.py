"""What staff ask of open connections: of which ones, what, and what came of it."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from monitor.ids import time_ordered_uuid
from monitor.models import Action, Block, Connection, Process, pattern_regex
from monitor.processes.commands import announce
from monitor.recording.rules import Blocking, blocking
from monitor.scope import clean

from .forms import AskForm, BlockForm, uuids
from .viewer import Viewer

SHOWN = 50  # targets on a page
Kind = Action.Kind
BLOCK = "block"
NETWORK = str(Block.Kind.NETWORK)
PERMISSIONS = {
    str(Kind.DISCONNECT): "disconnect_connection",
    str(Kind.LOG_OUT): "log_out_user",
    str(Kind.NOTICE): "send_notice",
    BLOCK: "add_block",
    str(Kind.DRAIN): "drain_process",
}
Context = dict[str, Any]


@dataclass(frozen=True)
class Targets:
    """What staff chose: some connections, all of somebody's, or a process."""

    words: str
    connections: QuerySet[Connection]  # newest first
    process: Process | None = None
    blockable: dict[str, str] = field(default_factory=dict)  # kind of block: value

    @classmethod
    def of(cls, data: QueryDict) -> Targets | None:
        """The open connections that an address or a form names; None if it names
        nothing. Of several criteria the first of these counts."""
        if key := data.get("process"):
            process = get_object_or_404(Process, pk=uuids([key])[0])
            held = _open().filter(process=process)
            return cls(_("the process %s") % process, held, process=process)
        if keys := data.getlist("connection"):
            # Also one that has closed since it was chosen: that is its result.
            found = _with_process(Connection.objects.filter(pk__in=uuids(keys)))
            return cls(_("the chosen connections"), found)
        if name := clean(data.get("user", "")):
            words, found = _("all connections of %s") % name, _open()
            blockable = _blockable(str(Block.Kind.USER), name)
            return cls(words, found.filter(username=name), blockable=blockable)
        if pattern := clean(data.get("path", "")):
            words = _("all connections to %s") % pattern
            regex = f"^{pattern_regex(pattern)}$"
            return cls(words, _open().filter(path__regex=regex))
        if network := data.get("client"):
            words = _("all connections from %s") % network
            return cls(words, _from(network), blockable=_blockable(NETWORK, network))
        return None

    @cached_property
    def count(self) -> int:
        """How many connections that are; only a page of them is shown."""
        return self.connections.count()

    def kinds(self, viewer: Viewer) -> list[str]:
        """What this viewer may ask of them."""
        if self.process is not None:
            possible = [str(Kind.DRAIN)]
        else:
            possible = [str(Kind.DISCONNECT), str(Kind.LOG_OUT), str(Kind.NOTICE)]
            possible += [BLOCK] if self.blockable else []
        return [kind for kind in possible if viewer.may(PERMISSIONS[kind])]


@require_http_methods(["GET", "POST"])
def ask(request: HttpRequest, context: Context) -> HttpResponse:
    """Name the targets and their number, and ask what is to be done, and why."""
    viewer = Viewer.of(request.user)
    targets = Targets.of(request.POST if request.method == "POST" else request.GET)
    if targets is None:  # nothing was chosen
        messages.error(request, _("Choose connections first."))
        return redirect("admin:monitor_live_changelist")
    kinds = targets.kinds(viewer)
    asked = request.POST if "asked" in request.POST else None
    form = AskForm(asked, kinds=kinds)
    if asked is not None and form.is_valid():
        order = place(targets, form.cleaned_data, request.user)
        if form.cleaned_data["kind"] == BLOCK:
            text = _("Blocked %s, until it is over or lifted in the list of blocks.")
            messages.success(request, text % ", ".join(targets.blockable.values()))
        if order is not None:
            return redirect("admin:monitor_live_order", order)
        if form.cleaned_data["kind"] != BLOCK:
            messages.warning(request, _("Nobody was connected; nothing was done."))
        return redirect("admin:monitor_live_changelist")
    return render(
        request,
        "monitor/ask.html",
        {
            **context,
            "title": _("Act on %s") % targets.words,
            "targets": targets,
            "shown": list(targets.connections[:SHOWN]),
            "form": form,
            "given": [
                (name, value)
                for name in ("process", "connection", "user", "path", "client")
                for value in (request.POST or request.GET).getlist(name)
            ],
        },
    )


@require_GET
def order(request: HttpRequest, pk: uuid.UUID, context: Context) -> HttpResponse:
    """What came of what was asked together; the fragment that tells if htmx asks."""
    actions = Action.objects.filter(order=pk).select_related("process")
    found = list(actions.order_by("pk"))
    if not found:
        raise Http404("Nothing was asked under this key")
    results = Counter(action.get_result_display() for action in found)
    told: Context = {
        "pk": pk,
        "actions": found[:SHOWN],
        "count": len(found),
        "results": sorted(results.items(), key=lambda item: -item[1]),
        "is_unanswered": any(a.result == Action.Result.NO_ANSWER for a in found),
        "is_pending": any(a.result == Action.Result.PENDING for a in found),
    }
    if request.headers.get("HX-Request"):
        return render(request, "monitor/_order.html", told)
    title = _("What came of it")
    return render(request, "monitor/order.html", {**context, **told, "title": title})


def place(targets: Targets, asked: dict[str, Any], user: Any) -> uuid.UUID | None:
    """Write what a valid form asks as actions, one for each target; return the order.

    None if nobody is connected. Whoever is to be blocked is blocked from then on, and
    disconnected.
    """
    kind, reason = asked["kind"], asked["reason"]
    if kind == Kind.DRAIN:
        assert targets.process is not None
        return write([_of_process(targets.process, reason)], user)
    if kind == BLOCK:
        return put_out(block_out(targets.blockable, asked, user), user)
    connections = list(targets.connections)
    if kind == Kind.LOG_OUT:
        connections = _with_sessions_of(connections)
    return write((_of(kind, one, reason) for one in connections), user)


def put_out(block: Block, user: Any) -> uuid.UUID | None:
    """Disconnect whomever a block is about; return the order, None if nobody is."""
    is_user = block.kind == Block.Kind.USER
    held = _open().filter(username=block.value) if is_user else _from(block.value)
    return disconnect(held, blocking(block).sentence(time.time_ns() // 1000), user)


def block_out(blockable: dict[str, str], asked: dict[str, Any], user: Any) -> Block:
    """Block somebody; every process hears of it at once."""
    [(kind, value)] = blockable.items()
    form = BlockForm({**asked, "kind": kind, "value": value})
    if not form.is_valid():  # what it names was checked when it was chosen
        raise ValueError(form.errors.as_text())
    block = form.save(commit=False)
    sign(block, user)
    block.save()
    return block


def sign(block: Block, user: Any) -> None:
    """Note who asked for a block."""
    block.asked_by, block.asked_by_name = user, user.get_username()


def write(actions: Iterable[Action], user: Any) -> uuid.UUID | None:
    """Write actions that were asked together, and tell the processes. None if there
    are none."""
    order = time_ordered_uuid()
    rows = list(actions)
    if not rows:
        return None
    for action in rows:
        action.order = order
        action.asked_by, action.asked_by_name = user, user.get_username()
    Action.objects.bulk_create(rows, batch_size=500)
    transaction.on_commit(announce)
    return order


def disconnect(
    connections: Iterable[Connection], reason: str, user: Any
) -> uuid.UUID | None:
    """Ask for some connections to be closed; return the order, None if for none."""
    return write((_of(str(Kind.DISCONNECT), one, reason) for one in connections), user)


def _of(kind: str, connection: Connection, reason: str) -> Action:
    gone = connection.closed_at or connection.process.stopped_at
    return Action(
        kind=kind,
        connection=connection,
        process_id=connection.process_id,
        target=f"{connection} ({connection.client})"[:500],
        reason=reason,
        result=Action.Result.GONE if gone else Action.Result.PENDING,
        finished_at=timezone.now() if gone else None,
    )


def _of_process(process: Process, reason: str) -> Action:
    gone = process.stopped_at
    return Action(
        kind=Kind.DRAIN,
        process=process,
        target=f"{process} (PID {process.pid}, {process.host})"[:500],
        reason=reason,
        result=Action.Result.GONE if gone else Action.Result.PENDING,
        finished_at=timezone.now() if gone else None,
    )


def _open() -> QuerySet[Connection]:
    """The open connections, newest first."""
    return _with_process(Connection.objects.open().filter(process__stopped_at=None))


def _with_process(connections: QuerySet[Connection]) -> QuerySet[Connection]:
    with_process = connections.select_related("process")
    return with_process.defer("scope", "process__traffic").order_by("-opened_at", "-pk")


def _from(network: str) -> QuerySet[Connection]:
    """The open connections from an address or a network; none if it is neither."""
    block = Blocking(NETWORK, network, "", None)
    hosts = _open().order_by().values_list("client_host", flat=True).distinct()
    try:
        among = [host for host in hosts if block.fits("", host)]
    except ValueError:
        among = []
    return _open().filter(client_host__in=among)


def _blockable(kind: str, value: str) -> dict[str, str]:
    """What can be blocked of what was chosen; nothing if there is no such user, or if
    it is no address."""
    form = BlockForm({"kind": kind, "value": value, "reason": "-"})
    form.is_valid()
    return {} if "value" in form.errors else {kind: value}


def _with_sessions_of(connections: list[Connection]) -> list[Connection]:
    """Those, and all others that are open with a session of theirs."""
    chosen = {connection.pk for connection in connections}
    hashes = {c.session_hash for c in connections if c.session_hash}
    others = _open().filter(session_hash__in=hashes).exclude(pk__in=chosen)
    return [*connections, *others]


def others(connection: Connection) -> list[dict[str, Any]]:
    """Whose connections can be acted on from the page of one, and how many are open.

    One query.
    """
    values = {
        "user": connection.username,
        "client": connection.client_host,
        "path": connection.path,
    }
    found = _open().aggregate(
        user=Count("pk", filter=Q(username=values["user"])),
        client=Count("pk", filter=Q(client_host=values["client"])),
        path=Count("pk", filter=Q(path=values["path"])),
    )
    return [
        {"name": name, "value": value, "count": found[name]}
        for name, value in values.items()
        if value
    ]
