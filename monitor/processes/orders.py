"""What staff want to be kept: policies and traces, looked up every few seconds."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from django.db.models.functions import Now

from monitor.conf import settings
from monitor.models import Block, CapturePolicy, Trace
from monitor.recording.rules import Blocking, Rules, Tracing, blocking
from monitor.turns import taking_turns

REMEMBERED = "policies.json"


class Orders:
    """Turns the rows of staff into `Rules`. Runs in the writer's thread.

    Policies are remembered in `directory`, for processes that start before the
    database answers: what staff do not want kept must not be kept even then.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._due_at = 0.0
        self._tracings: dict[int, Tracing] = {}

    def look(self, rules: Rules, at_once: bool) -> Rules:
        """Return the rules as they are now: `rules`, unless something has changed."""
        if time.monotonic() < self._due_at and not at_once:
            return rules
        self._due_at = time.monotonic() + settings.RULES_INTERVAL
        policies = dict(CapturePolicy.objects.values_list("pattern", "level"))
        traces, blocks = self._running(), _blocks()
        known = rules.policies, rules.traces, rules.blocks
        if (policies, traces, blocks) == known:
            return rules
        if policies != rules.policies:
            self._remember(policies)
        return Rules(policies, traces, blocks)

    def _remember(self, policies: dict[str, str]) -> None:
        path = self.directory / REMEMBERED
        new = path.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(policies))
        new.replace(path)

    def _running(self) -> list[Tracing]:
        """The traces that go on; those that are over get their result."""
        tracings = {}
        for trace in Trace.objects.filter(finished_at=None).order_by("pk"):
            tracing = self._tracing(trace)
            if tracing.is_over(time.time_ns() // 1000):
                _finish(trace, full=tracing.left <= 0)
            else:
                tracings[trace.pk] = tracing
        self._tracings = tracings
        return list(tracings.values())

    def _tracing(self, trace: Trace) -> Tracing:
        """The same object for as long as a trace runs: it counts down."""
        left = trace.bytes_limit - trace.bytes_kept
        ends_at = int(trace.ends_at.timestamp() * 1_000_000)
        tracing = self._tracings.get(trace.pk) or Tracing(
            trace.pk, trace.kind, trace.value, ends_at, left
        )
        # Others may trace for it, too.
        tracing.left = min(tracing.left, left)
        return tracing


def remembered(directory: Path) -> dict[str, str]:
    """The policies that processes of this host knew last."""
    try:
        policies = json.loads((directory / REMEMBERED).read_text())
    except (OSError, ValueError):
        return {}
    return policies if isinstance(policies, dict) else {}


def _blocks() -> list[Blocking]:
    """The blocks in force, in the order in which they were made. One query."""
    return [blocking(block) for block in Block.objects.in_force().order_by("pk")]


def _finish(trace: Trace, full: bool) -> None:
    result = Trace.Result.FULL if full else Trace.Result.EXPIRED
    with taking_turns():
        Trace.objects.filter(pk=trace.pk, finished_at=None).update(
            finished_at=Now(), result=result
        )
