"""The writers of one process take turns on a SQLite file."""

from __future__ import annotations

import contextlib
import os
import threading

from django.db import connection

_lock = threading.Lock()


def _renew_after_fork() -> None:
    """Whoever held it in the parent does not exist in the child."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_after_fork)


def taking_turns() -> contextlib.AbstractContextManager[object]:
    """Return what to hold around a short transaction of a writer thread.

    Two threads that write into one SQLite file meet in its busy handler, which sleeps
    for 1, 2, 5 … 100 ms at a time; a lock wakes the next one at once. Other databases
    need none of it. Not reentrant.
    """
    return _lock if connection.vendor == "sqlite" else contextlib.nullcontext()
