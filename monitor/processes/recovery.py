"""What dead processes of this host left behind: stored, closed, cleared away."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from django.db.models import F
from django.db.models.functions import Greatest

from monitor.models import Action, Connection, Process
from monitor.recording.journal import Journal, Lock

from . import heartbeat

Store = Callable[[str, list[bytes]], object]


def recover(directory: Path, own_id: uuid.UUID, store: Store) -> int:
    """Take over from every process in `directory` that is dead; return how many.

    Whoever can take the lock of a process knows that it is dead. Its journal is
    replayed before its connections are closed, so that an end it had seen is kept.
    """
    taken_over = 0
    for path in sorted(directory.glob("*.lock")):
        lock = Lock(path)
        if path.stem == str(own_id) or not lock.take():
            continue
        try:
            process = _process(uuid.UUID(path.stem), lock.read())
            _take_over(process, directory / path.stem, store)
            lock.path.unlink()
            taken_over += 1
        finally:
            lock.release()
    return taken_over


def _process(process_id: uuid.UUID, word: str) -> Process:
    """The row of a dead process, which may have died before it wrote it."""
    if process := Process.objects.filter(id=process_id).first():
        return process
    try:
        identity = json.loads(word)
    except ValueError:
        began_at = datetime.fromtimestamp((process_id.int >> 80) / 1000, UTC)
        identity = {"name": "unknown", "pid": 0, "started_at": began_at.isoformat()}
    seen = {"seen_at": identity["started_at"]}
    Process.objects.create(id=process_id, **identity, **seen)
    return Process.objects.get(id=process_id)


def _take_over(process: Process, directory: Path, store: Store) -> None:
    journal = Journal(directory)
    lines, position = journal.read(journal.start())
    while lines:
        store(str(process.id), lines)
        lines, position = journal.read(position)

    _close_what_it_held(process)
    heartbeat.end(process.id, lost=True)
    journal.remove()


def _close_what_it_held(process: Process) -> None:
    """Close the connections of a dead process, at the time it was last heard of."""
    Action.objects.pending_at(process.id).update(
        result=Action.Result.GONE,
        detail="the process was lost",
        finished_at=process.seen_at,
    )
    Connection.objects.open().filter(process=process).update(
        closed_at=Greatest(F("active_at"), process.seen_at),
        cause=Connection.Cause.PROCESS,
        detail="inferred: when the process was last heard of",
    )
