"""This process's row: its name, its lease, and what it says of its recording."""

from __future__ import annotations

import os
import socket
import sys
import uuid
from typing import Any

from django.db.models.functions import Now
from django.utils import timezone

from monitor.conf import settings
from monitor.models import Process

from . import setup


def identity() -> dict[str, Any]:
    """What this process is, by the fields of `Process`; ready for JSON."""
    host = socket.gethostname()
    return {
        "name": (settings.PROCESS_NAME or f"{host}:{os.getpid()}")[:100],
        "host": host,
        "pid": os.getpid(),
        "server": server_name(),
        "started_at": timezone.now().isoformat(),
        "setup": setup.facts(),
    }


def register(process_id: uuid.UUID, identity: dict[str, Any]) -> None:
    """Write the row of a process that begins, once."""
    facts = {**identity["setup"], "clock": setup.clock_difference()}
    row = {**identity, "setup": facts, "seen_at": Now()}
    Process.objects.get_or_create(id=process_id, defaults=row)


def beat(process_id: uuid.UUID, **health: Any) -> bool:
    """Renew the lease, by the database's clock, and report the process's health.

    False if the process was taken for lost meanwhile.
    """
    process = Process.objects.filter(id=process_id, stopped_at=None)
    return bool(process.update(seen_at=Now(), **health))


def report(process_id: uuid.UUID, **health: Any) -> None:
    """Write what a process says of itself, between two heartbeats."""
    Process.objects.filter(id=process_id).update(**health)


def end(process_id: uuid.UUID, lost: bool) -> None:
    """Note that a process has stopped, or is known to be dead."""
    Process.objects.filter(id=process_id, stopped_at=None).update(
        stopped_at=Now(), lost=lost
    )


def server_name() -> str:
    """The ASGI server that runs this process, as far as can be told.

    Whoever runs it may say so as others do, in `SERVER_SOFTWARE`.
    """
    if told := os.environ.get("SERVER_SOFTWARE", ""):
        return told.partition("/")[0][:50]
    # Daphne's app is imported in every process of a project that installs it.
    for name in ("uvicorn", "hypercorn", "daphne"):
        if f"{name}.server" in sys.modules or f"{name}.run" in sys.modules:
            return name
    return ""
