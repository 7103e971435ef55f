"""What dead processes of this host left behind: stored, closed, cleared away."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path

from django.db import Error, transaction
from django.db.models import F
from django.db.models.functions import Greatest, Now

from monitor.models import Action, Connection, Process
from monitor.recording.journal import Journal, Lock
from monitor.recording.progress import Progress
from monitor.turns import taking_turns

from . import heartbeat

logger = logging.getLogger("channelscope.monitor")
Store = Callable[[Progress, list[bytes]], object]


def take_over_dead(directory: Path, own_id: uuid.UUID, store: Store) -> Generator[bool]:
    """Take over from every process in `directory` that is dead, a piece at a time.

    Yields False after a piece of a journal and True after a whole process, so that
    whoever asks can see to other things in between. Whoever can take the lock of a
    process knows that it is dead. Its journal is replayed before its connections are
    closed, so that an end it had seen is kept.
    """
    for path in sorted(directory.glob("*.lock")):
        process_id = _process_id(path)
        if process_id is None or process_id == own_id:
            continue
        lock = Lock(path)
        try:
            word = lock.take()
            if word is None:
                continue
            process = _process(process_id, word)
            yield from _take_over(process, directory / path.stem, store)
            path.unlink(missing_ok=True)
            yield True
        except Error:
            raise  # the database's; it is the same for all of them
        except Exception:
            # What one process left must not keep the others from being seen to.
            logger.exception("Cannot take over from %s", path)
        finally:
            lock.release()


def give_up_unheard_of() -> bool:
    """Close what processes held of which nothing was heard for `MONITOR_LOST_AFTER`.

    Nobody knows that they are dead. One that lives after all finds its row stopped,
    and goes on under another one. True if there was any.
    """
    given_up = False
    for process in Process.objects.given_up():
        with taking_turns(), transaction.atomic():
            # Its own batches change this row last: they are either before, and closed
            # by the next statement, or they fail.
            if (
                Process.objects.given_up()
                .filter(pk=process.pk)
                .update(stopped_at=Now(), lost=True)
            ):
                inferred = "inferred: when its process was last heard of"
                close_open(process.id, Connection.Cause.PROCESS, inferred)
                given_up = True
    return given_up


def close_open(process_id: uuid.UUID, cause: Connection.Cause, detail: str) -> int:
    """Close what a process that has ended still holds open by its rows.

    At the time it was last heard of.
    """
    process = Process.objects.get(id=process_id)
    return (
        Connection.objects.open()
        .filter(process=process)
        .update(
            closed_at=Greatest(F("active_at"), process.seen_at),
            cause=cause,
            detail=detail,
        )
    )


def _correct_ends(process: Process) -> None:
    """Let what others have inferred be no earlier than what the journal has told
    since: nobody had heard of that."""
    given_up = Connection.objects.filter(
        process=process, cause=Connection.Cause.PROCESS, closed_at__lt=F("active_at")
    )
    with taking_turns():
        given_up.update(closed_at=F("active_at"))


def answer_for(process_id: uuid.UUID) -> None:
    """Say of whatever was asked of a process that has ended that it is gone."""
    Action.objects.unanswered().filter(process_id=process_id).update(
        result=Action.Result.GONE, detail="the process has ended", finished_at=Now()
    )


def _process_id(path: Path) -> uuid.UUID | None:
    try:
        return uuid.UUID(path.stem)
    except ValueError:
        return None  # not of ours


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


def _take_over(process: Process, directory: Path, store: Store) -> Generator[bool]:
    progress = Progress(process.id.hex, process.stored_seq, is_replay=True)
    journal = Journal(directory)
    chunk = journal.read(journal.start())
    while chunk.lines:
        store(progress, chunk.lines)
        yield False
        chunk = journal.read(chunk.end)

    inferred = "inferred: when the process was last heard of"
    close_open(process.id, Connection.Cause.PROCESS, inferred)
    _correct_ends(process)
    answer_for(process.id)
    heartbeat.end(process.id, lost=True)
    journal.remove()
