"""What is to be kept of which messages: the settings, and what staff asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any, NamedTuple

from django.utils.module_loading import import_string

from monitor.conf import settings
from monitor.models import Block, CapturePolicy, Trace, pattern_regex

from .capture import Redact

Level = CapturePolicy.Level

SHED_FROM = 0.8  # of the journal's limit: from here on, texts are left out
DEFAULT = Level.PREVIEW
FOR_EVER = 2**63


class Subject(NamedTuple):
    """A connection, as rules see it."""

    connection_id: str  # 32 hexadecimal digits
    username: str
    client_host: str
    path: str


class Capture(NamedTuple):
    """What is kept of the messages of a connection."""

    counts: bool  # at all
    events: bool  # each as a row
    limit: int  # bytes of the text, in UTF-8


@dataclass(eq=False, slots=True)
class Tracing:
    """A trace as it runs in this process."""

    id: int
    kind: str
    value: str
    ends_at: int  # microseconds since 1970
    left: int  # bytes

    def fits(self, subject: Subject) -> bool:
        """Whether a connection is to be traced."""
        match self.kind:
            case Trace.Kind.USER:
                return bool(subject.username) and subject.username == self.value
            case Trace.Kind.CLIENT:
                return subject.client_host == self.value
            case Trace.Kind.PATH:
                return fits(self.value, subject.path)
            case Trace.Kind.CONNECTION:
                return subject.connection_id == self.value.replace("-", "").lower()
        return False

    def is_over(self, at: int) -> bool:
        """Whether its time or its size has been reached."""
        return at >= self.ends_at or self.left <= 0


class Blocking(NamedTuple):
    """A block as it is in force in this process."""

    kind: str
    value: str
    reason: str
    ends_at: int | None  # microseconds since 1970; None: never
    began_at: int = 0

    def fits(self, username: str, client_host: str) -> bool:
        """Whether somebody is kept out by it."""
        if self.kind == Block.Kind.USER:
            return bool(username) and username == self.value
        address = _address(client_host)
        return address is not None and address in _network(self.value)

    def sentence(self, now: int) -> str:
        """What whoever is kept out is told: for how long, and why."""
        if self.ends_at is None:
            return f"Blocked: {self.reason}"
        seconds = max(1, (self.ends_at - now + 999_999) // 1_000_000)
        return f"Blocked for another {_duration(seconds)}: {self.reason}"


@dataclass(eq=False)
class Rules:
    """A snapshot: connections look at it again when there is another one.

    `policies` are those of staff, which go before `MONITOR_CAPTURE`. Longer patterns
    go before shorter ones.
    """

    policies: dict[str, str] = field(default_factory=dict)
    traces: list[Tracing] = field(default_factory=list)
    blocks: list[Blocking] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.captures: dict[str, Capture] = {
            Level.OFF: Capture(counts=False, events=False, limit=0),
            Level.COUNTS: Capture(counts=True, events=False, limit=0),
            Level.META: Capture(counts=True, events=True, limit=0),
            Level.PREVIEW: Capture(True, True, limit=settings.TEXT_LIMIT),
            Level.FULL: Capture(True, True, limit=settings.FULL_TEXT_LIMIT),
        }
        self.traced = self.captures[Level.FULL]
        self.redact = redactor()
        self.journal_limit = settings.JOURNAL_LIMIT
        self.shed_from = int(settings.JOURNAL_LIMIT * SHED_FROM)
        self.segment_size = settings.SEGMENT_SIZE

    def capture(self, subject: Subject) -> Capture:
        """What is kept of the messages of a connection that is not traced."""
        for policies in (self.policies, settings.CAPTURE):
            if pattern := deciding(policies, subject.path):
                # A level that is none is told of by a system check.
                return self.captures.get(policies[pattern], self.captures[DEFAULT])
        return self.captures[DEFAULT]

    def tracing(self, subject: Subject, at: int) -> tuple[Tracing, ...]:
        """The running traces that a connection belongs to, the oldest first."""
        return tuple(
            trace
            for trace in self.traces
            if trace.fits(subject) and not trace.is_over(at)
        )

    def block(self, username: str, client_host: str, now: int) -> Blocking | None:
        """The block that keeps a user or a client out the longest, if there is one."""
        fitting = [
            block
            for block in self.blocks
            if (block.ends_at is None or block.ends_at > now)
            and block.fits(username, client_host)
        ]
        return max(fitting, key=lambda b: b.ends_at or FOR_EVER, default=None)


def blocking(block: Block) -> Blocking:
    """A block as it is in force in a process."""
    end = None if block.ends_at is None else _microseconds(block.ends_at)
    began_at = _microseconds(block.began_at)
    return Blocking(block.kind, block.value, block.reason, end, began_at)


def _microseconds(at: datetime) -> int:
    return int(at.timestamp() * 10**6)


def redactor() -> Redact | None:
    """The function that `MONITOR_REDACT` names. ImportError if there is none."""
    return import_string(settings.REDACT) if settings.REDACT else None


def deciding(policies: Mapping[str, Any], path: str) -> str | None:
    """The pattern among `policies` that decides about `path`: the longest that fits."""
    fitting = (pattern for pattern in policies if fits(pattern, path))
    return max(fitting, key=len, default=None)


def fits(pattern: str, path: str) -> bool:
    """Whether a path is one of a pattern's, in which * stands for any characters."""
    return _compiled(pattern).fullmatch(path) is not None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """The address of a client; IPv4 also where the server listens on IPv6."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=1024)
def _network(value: str) -> IPv4Network | IPv6Network:
    return ip_network(value, strict=False)


def _duration(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {unit}"  # 297 s are nearly 5 min
    return f"{seconds} s"


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern_regex(pattern), re.DOTALL)
