"""Tells at the start what would not work later."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import connection

from .conf import misspelt, problems, settings
from .limits import limits
from .models import CapturePolicy
from .recording.rules import redactor
from .recording.statements import VENDORS

SQLITE_NEEDED = (3, 35)  # UPDATE … FROM (3.33), and what json_each is joined with


def check_setup(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The journal's directory and the database are what the monitor needs."""
    kinds = [*_check_kinds()]
    if kinds or not settings.ENABLED:
        return kinds  # the others could not even look at what is of a wrong kind
    return [
        *_check_names(),
        *_check_journal(),
        *_check_database(),
        *_check_time_zone(),
        *_check_capture(),
        *_check_redact(),
        *_check_limits(),
    ]


def _check_kinds() -> Iterator[CheckMessage]:
    for problem in problems():
        yield Error(problem, id="monitor.E009")


def _check_names() -> Iterator[CheckMessage]:
    for problem in misspelt():
        yield Warning(problem, id="monitor.W001")


def _check_time_zone() -> list[CheckMessage]:
    if django_settings.USE_TZ:
        return []
    return [
        Error(
            "The monitor keeps times with their zone, and USE_TZ is False.",
            hint="Set USE_TZ = True.",
            id="monitor.E005",
        )
    ]


def _check_capture() -> list[CheckMessage]:
    levels = ", ".join(CapturePolicy.Level.values)
    return [
        Error(
            f"MONITOR_CAPTURE has {level!r} for {pattern!r}.",
            hint=f"Say one of {levels} for a path such as '/ws/chat/*'.",
            id="monitor.E006",
        )
        for pattern, level in settings.CAPTURE.items()
        if level not in CapturePolicy.Level.values
        or not str(pattern).startswith(("/", "*"))
    ]


def _check_redact() -> list[CheckMessage]:
    try:
        redact = redactor()
    except ImportError as error:
        problem = str(error)
    else:
        if redact is None or callable(redact):
            return []
        problem = "it is not a function"
    return [
        Error(
            f"MONITOR_REDACT, {settings.REDACT}, cannot be used: {problem}.",
            hint="Give the dotted path of a function (text, path) -> text.",
            id="monitor.E007",
        )
    ]


def _check_limits() -> list[CheckMessage]:
    try:
        limits()
    except Exception as error:
        return [
            Error(
                f"MONITOR_LIMITS, {settings.LIMITS}, cannot be used: {error!r}.",
                hint="Give the dotted path of a function () -> [monitor.limits.Limit].",
                id="monitor.E010",
            )
        ]
    return []


def _check_journal() -> list[CheckMessage]:
    directory = settings.JOURNAL_DIR
    if not directory:
        return [
            Error(
                "MONITOR_JOURNAL_DIR is not set, so nothing can be recorded.",
                hint="Set it to a directory on a local disk, such as "
                'BASE_DIR / "monitor-journal", or set MONITOR_ENABLED = False.',
                id="monitor.E001",
            )
        ]
    existing = os.path.abspath(directory)
    while not os.path.exists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing):
        return [
            Error(
                f"MONITOR_JOURNAL_DIR, {directory}, is or lies in a file.",
                hint="Give the path of a directory.",
                id="monitor.E002",
            )
        ]
    if not os.access(existing, os.W_OK | os.X_OK):
        return [
            Error(
                f"MONITOR_JOURNAL_DIR, {directory}, cannot be written.",
                hint=f"Give this user the right to write in {existing}.",
                id="monitor.E002",
            )
        ]
    return []


def _check_database() -> list[CheckMessage]:
    is_psycopg3 = find_spec("psycopg") is not None  # Django prefers it, too
    if connection.vendor not in VENDORS:
        return [
            Error(
                f"The monitor cannot record into {connection.display_name}.",
                hint="It supports SQLite 3.35 and PostgreSQL 14, or later ones.",
                id="monitor.E003",
            )
        ]
    if connection.vendor == "postgresql" and not is_psycopg3:
        return [
            Error(
                "The monitor records into PostgreSQL by psycopg 3, and this is 2.",
                hint='Type: pip install "psycopg[binary]"',
                id="monitor.E008",
            )
        ]
    if connection.vendor == "sqlite":
        version = sqlite3.sqlite_version_info
        if version < SQLITE_NEEDED:
            return [
                Error(
                    f"This Python comes with SQLite {sqlite3.sqlite_version}; "
                    "the monitor needs 3.35.",
                    hint="Use a newer Python, or PostgreSQL.",
                    id="monitor.E004",
                )
            ]
    return []
