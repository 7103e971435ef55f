"""What an application limits, as the dashboard is to show it."""

from __future__ import annotations

from typing import NamedTuple

from django.utils.module_loading import import_string

from .conf import settings


class Limit(NamedTuple):
    """One limit: of what, how much, and what happens beyond it.

    `close_code` is the code with which connections are closed for it, if any are.
    """

    name: str
    most: str
    beyond: str
    close_code: int | None = None


def limits() -> list[Limit]:
    """What the function that `MONITOR_LIMITS` names tells; it may raise anything."""
    return list(import_string(settings.LIMITS)()) if settings.LIMITS else []
