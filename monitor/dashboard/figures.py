"""Numbers, sizes and durations as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

STEPS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))
BYTE_STEPS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def number(value: float) -> str:
    """12400 → "12.4 k"; below a thousand as it is."""
    for step, unit in STEPS:
        if value >= step:
            return f"{value / step:.1f} {unit}"
    return f"{value:.0f}"


def exact(value: int) -> str:
    """12400 → "12,400"."""
    return f"{value:,}"


def size(count: int) -> str:
    """Bytes: 31744 → "31.0 KiB"."""
    for step, unit in BYTE_STEPS:
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count} B"


def rate(per_second: float) -> str:
    """Messages a second: one decimal below ten, none above."""
    return f"{per_second:.1f}" if 0 < per_second < 10 else number(per_second)


def handler_time(microseconds: int | None) -> str:
    """412 → "0.4 ms", 12 → "12 µs"; "" if it was not measured."""
    if microseconds is None:
        return ""
    if microseconds < 100:
        return exact_handler_time(microseconds)
    milliseconds = microseconds / 1000
    if milliseconds >= 1000:
        return _("%.1f s") % (milliseconds / 1000)
    if milliseconds >= 10:
        return _("%.0f ms") % milliseconds
    return _("%.1f ms") % milliseconds


def exact_handler_time(microseconds: int | None) -> str:
    """1204 → "1,204 µs"; "" if it was not measured."""
    return "" if microseconds is None else _("%s µs") % exact(microseconds)


def duration(span: timedelta) -> str:
    """The two that matter: "2 s", "12 min", "3 h", "5 d". As live.js does it."""
    seconds = max(int(span.total_seconds()), 0)
    if seconds < 60:
        return _("%d s") % seconds
    if seconds < 3600:
        return _("%d min") % (seconds // 60)
    if seconds < 86400:
        return _("%d h") % (seconds // 3600)
    return _("%d d") % (seconds // 86400)


def clock(at: datetime) -> str:
    """A time of day to the millisecond."""
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03}"


def moment(at: datetime) -> str:
    """Date and time to the millisecond, in the zone of the project."""
    local = timezone.localtime(at)
    return f"{local:%Y-%m-%d} {clock(local)}"
