"""The settings of the monitor: a default for each, looked up live."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from math import isfinite
from typing import TYPE_CHECKING, Any

import django.conf

PREFIX = "MONITOR_"


class Settings:
    """Defaults; `MONITOR_<NAME>` in the project's settings goes before them."""

    ENABLED = True
    JOURNAL_DIR = ""  # a directory on a local disk; needed, see checks.py
    JOURNAL_LIMIT = 256 * 2**20  # bytes kept on disk while the database is away
    SEGMENT_SIZE = 2**20  # bytes of one file of the journal
    BATCH_INTERVAL = 0.05  # seconds that events may wait for others; more under load
    TICK_INTERVAL = 0.25  # seconds between two ticks, at least
    CAPTURE: dict[str, str] = {}  # path pattern: off, counts, meta, preview or full
    TEXT_LIMIT = 16 * 2**10  # bytes (UTF-8) of a message's text kept for a preview
    FULL_TEXT_LIMIT = 256 * 2**10  # the same for "full" and for traces
    REDACT = ""  # dotted path of a function (text, path) -> text, called after masking
    LIMITS = ""  # dotted path of a function () -> [monitor.limits.Limit], to be shown
    RULES_INTERVAL = 2.5  # seconds after which policies and traces of staff act
    CONNECTION_DAYS = 30.0  # that closed connections are kept; None: for ever
    EVENT_DAYS = 7.0  # the same for events
    ERROR_DAYS = 30.0  # the same for errors
    SIZE_LIMIT = 5 * 2**30  # bytes of the database for all of them; None: any number
    PRUNE_INTERVAL = 600.0  # seconds between two runs that delete the rest
    SESSION_KEYS: list[str] = []  # session keys whose values may be kept
    HEARTBEAT_INTERVAL = 5.0  # seconds
    LEASE = 15.0  # seconds after the last heartbeat that a process counts as alive
    LOST_AFTER = 600.0  # seconds after the last heartbeat until nobody waits for it
    LIVE_ROWS = 250  # connections shown on the dashboard
    FEED_ROWS = 100  # events shown on the dashboard
    PERMISSION_INTERVAL = 15.0  # seconds between two checks on an open dashboard
    PULSE_INTERVAL = 2.0  # seconds; a dashboard that hears nothing for 5 greys
    PROCESS_NAME = ""  # how this process is shown; default host:pid

    if not TYPE_CHECKING:

        def __getattribute__(self, name: str) -> Any:
            default = super().__getattribute__(name)
            return getattr(django.conf.settings, PREFIX + name, default)


settings = Settings()


def problems() -> Iterator[str]:
    """What is wrong with the settings, a sentence each."""
    for name, (fits, wanted) in _KINDS.items():
        value = getattr(settings, name)
        if not fits(value):
            yield f"{PREFIX}{name} is {value!r}; say {wanted}."


def misspelt() -> Iterator[str]:
    """Settings of the project that look like ours and are none, a sentence each."""
    for name in dir(django.conf.settings):
        if not name.startswith(PREFIX) or name.removeprefix(PREFIX) in _KINDS:
            continue
        for meant in get_close_matches(name.removeprefix(PREFIX), _KINDS, 1, 0.8):
            yield f"{name} is no setting of the monitor; {PREFIX}{meant} is."


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and isfinite(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _are_seconds(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _are_days(value: Any) -> bool:
    return value is None or _is_number(value) and value > 0


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)


_BOOL = (lambda value: isinstance(value, bool), "True or False")
_BYTES = (_is_count, "a number of bytes, such as 16 * 2**10")
_ROWS = (_is_count, "a number of rows, such as 100")
_SECONDS = (_are_seconds, "a number of seconds, such as 5.0")
_DAYS = (_are_days, "a number of days, such as 7, or None for ever")
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "ENABLED": _BOOL,
    "JOURNAL_DIR": (lambda v: isinstance(v, str | os.PathLike), "a directory's path"),
    "JOURNAL_LIMIT": _BYTES,
    "SEGMENT_SIZE": _BYTES,
    "BATCH_INTERVAL": _SECONDS,
    "TICK_INTERVAL": _SECONDS,
    "CAPTURE": (lambda v: isinstance(v, dict), "a dict, such as {'/ws/*': 'meta'}"),
    "TEXT_LIMIT": _BYTES,
    "FULL_TEXT_LIMIT": _BYTES,
    "REDACT": (lambda v: isinstance(v, str), "the dotted path of a function"),
    "LIMITS": (lambda v: isinstance(v, str), "the dotted path of a function"),
    "RULES_INTERVAL": _SECONDS,
    "CONNECTION_DAYS": _DAYS,
    "EVENT_DAYS": _DAYS,
    "ERROR_DAYS": _DAYS,
    "SIZE_LIMIT": (
        lambda value: value is None or _is_count(value),
        "a number of bytes, such as 5 * 2**30, or None for any number",
    ),
    "PRUNE_INTERVAL": _SECONDS,
    "SESSION_KEYS": (_are_texts, "a list of keys, such as ['theme']"),
    "HEARTBEAT_INTERVAL": _SECONDS,
    "LEASE": _SECONDS,
    "LOST_AFTER": _SECONDS,
    "LIVE_ROWS": _ROWS,
    "FEED_ROWS": _ROWS,
    "PERMISSION_INTERVAL": _SECONDS,
    "PULSE_INTERVAL": _SECONDS,
    "PROCESS_NAME": (lambda v: isinstance(v, str), "a name, such as 'web-1'"),
}
