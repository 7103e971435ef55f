"""The settings of the monitor: a default for each, looked up live."""

from typing import TYPE_CHECKING, Any

import django.conf


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
    RULES_INTERVAL = 2.5  # seconds after which policies and traces of staff act
    CONNECTION_DAYS = 30.0  # that closed connections are kept; None: for ever
    EVENT_DAYS = 7.0  # the same for events
    ERROR_DAYS = 30.0  # the same for errors
    SIZE_LIMIT = 5 * 2**30  # bytes of the database for all of them; None: any number
    PRUNE_INTERVAL = 600.0  # seconds between two runs that delete the rest
    SESSION_KEYS: list[str] = []  # session keys whose values may be kept
    HEARTBEAT_INTERVAL = 5.0  # seconds
    LEASE = 15.0  # seconds after the last heartbeat that a process counts as alive
    LIVE_ROWS = 250  # connections shown on the dashboard
    FEED_ROWS = 100  # events shown on the dashboard
    PERMISSION_INTERVAL = 15.0  # seconds between two checks on an open dashboard
    PULSE_INTERVAL = 2.0  # seconds; a dashboard that hears nothing for 5 greys
    PROCESS_NAME = ""  # how this process is shown; default host:pid

    if not TYPE_CHECKING:

        def __getattribute__(self, name: str) -> Any:
            default = super().__getattribute__(name)
            return getattr(django.conf.settings, f"MONITOR_{name}", default)


settings = Settings()
