"""What dead processes of this host left behind: stored, closed, cleared away."""

from __future__ import annotations

import uuid
from collections.abc import Callable
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
            _take_over(uuid.UUID(path.stem), directory / path.stem, store)
            lock.path.unlink()
            taken_over += 1
        finally:
            lock.release()
    return taken_over


def _take_over(process_id: uuid.UUID, directory: Path, store: Store) -> None:
    journal = Journal(directory)
    lines, position = journal.read(journal.start())
    while lines:
        store(str(process_id), lines)
        lines, position = journal.read(position)

    if process := Process.objects.filter(id=process_id, stopped_at=None).first():
        _close_what_it_held(process)
        heartbeat.end(process_id, lost=True)
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
