"""Who is connected where: the monitor's one truth, for the other applications."""

from __future__ import annotations

from collections import defaultdict

from .conf import settings
from .models import Connection

# The channel layer's group that gets {"type": TICK} after connections
# opened or closed. A tick carries nothing: it means "look again".
GROUP = "monitor.presence"
TICK = "presence.tick"


def members(route: str, argument: str) -> dict[str, list[str]] | None:
    """Return the names of the users who are connected to a route.

    `route` is the name of a route of a `MonitorRouter`, `argument` one of its
    keyword arguments: `members("chat", "slug")` gives
    `{"lobby": ["ana", "bruno"], …}`, each name once and in order. None if the
    monitor is switched off, and nobody can know. One query.
    """
    if not settings.ENABLED:
        return None
    rows = (
        Connection.objects.live()
        .filter(route=route, accepted_at__isnull=False, user__isnull=False)
        .values_list(f"route_args__{argument}", "username")
        .order_by("username")
        .distinct()
    )
    found = defaultdict(list)
    for value, username in rows:
        found[value].append(username)
    return dict(found)
