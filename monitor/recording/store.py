"""Journal lines become rows: one transaction for a batch."""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson
from django.db import DataError, Error, IntegrityError, transaction

from monitor.turns import taking_turns

from . import lines
from .batch import Batch
from .progress import Progress

SLICE = 100  # lines taken in at a time


class UnreadableLine(ValueError):
    """A line of a journal that no version of this code has written."""


def store(
    progress: Progress,
    texts: list[bytes],
    complete: Callable[[Batch], None] = lambda batch: None,
    set_aside: Callable[[bytes, Exception], None] = lambda line, reason: None,
) -> bool:
    """Store lines in one transaction; True if connections opened or closed.

    `complete` may add to the batch before it is written. A line that the database
    refuses is handed to `set_aside` with the reason, and all others are stored.
    Raises all other errors of the database: then nothing is wrong with the lines, and
    the next attempt passes over those that were stored nevertheless.
    """
    try:
        if progress.in_doubt:
            progress.resolve()
        batch = _folded(progress, texts)
        complete(batch)
        with taking_turns(), transaction.atomic():
            batch.write()
    except (DataError, IntegrityError, UnreadableLine) as error:
        if isinstance(error, IntegrityError) and not progress.in_doubt:
            progress.in_doubt = True
            return store(progress, texts, complete, set_aside)
        if len(texts) > 1:
            middle = len(texts) // 2
            first = store(progress, texts[:middle], complete, set_aside)
            second = store(progress, texts[middle:], complete, set_aside)
            return first or second
        for text in texts:
            seq = _seq_of(text)
            if 0 < seq <= progress.seq:
                continue  # set aside before the database failed
            set_aside(text, error)
            if seq:
                progress.pass_over(seq, lost=seq - progress.seq - 1)
        return False
    except Error:
        progress.in_doubt = True
        raise
    progress.seq, progress.in_doubt = batch.seq, False
    for connection_id in batch.ended:
        progress.identities.pop(connection_id, None)
    return batch.opens_or_closes


def _folded(progress: Progress, texts: list[bytes]) -> Batch:
    batch = Batch(progress)
    try:
        for start in range(0, len(texts), SLICE):
            some = texts[start : start + SLICE]
            batch.add(orjson.loads(b"[%s]" % b",".join(some)))
            time.sleep(0)  # lets the event loop have the interpreter in between
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise UnreadableLine(f"{type(error).__name__}: {error}") from error
    return batch


def _seq_of(line: bytes) -> int:
    """The number of an event that is set aside; 0 if it does not even have one."""
    try:
        content = orjson.loads(line)
        seq = content[lines.SEQ] if isinstance(content, list) else content["seq"]
    except (LookupError, TypeError, ValueError):
        return 0
    return seq if isinstance(seq, int) else 0
