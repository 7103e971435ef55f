"""Who is connected where: the monitor's one truth, for the other applications."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from django.contrib.auth import get_user_model
from django.db.models import Max, OuterRef, Subquery
from django.db.models.functions import Coalesce, Greatest

from .conf import settings
from .models import Connection, Process

# The channel layer's group that gets {"type": TICK} after connections opened or closed,
# or a person showed who had not for a minute. A tick carries nothing: it means "look
# again".
GROUP = "monitor.presence"
TICK = "presence.tick"
AT_ONCE = 500  # users that one query is about; SQLite takes no more than some thousands


def members(route: str, argument: str) -> dict[str, dict[str, datetime]] | None:
    """Return who is connected to a route, and when a person last showed there.

    `route` is the name of a route of a `MonitorRouter`, `argument` one of its
    keyword arguments: `members("chat", "slug")` gives
    `{"lobby": {"ana": 10:02, "bruno": 9:45}, …}`, each name once and in order, with
    the latest time of all their connections: they are idle since then. None if the
    monitor is switched off, and nobody can know. One query.
    """
    if not settings.ENABLED:
        return None
    rows = (
        Connection.objects.live()
        .filter(route=route, accepted_at__isnull=False, user__isnull=False)
        .values_list(f"route_args__{argument}", "username")
        .annotate(heard_at=Max(Coalesce("heard_at", "accepted_at")))
        .order_by("username")
    )
    found: dict[str, dict[str, datetime]] = defaultdict(dict)
    for value, username, heard_at in rows:
        found[value][username] = heard_at
    return dict(found)


def last_seen(route: str, user_ids: Iterable[int]) -> dict[int, datetime]:
    """Return when the last connection of users to a route ended, by the user's id.

    Of one whose process was not heard of since: when it last was. Who is not in it was
    never there, or longer ago than connections are kept. Two queries for each
    `AT_ONCE` users, whatever the number of their connections.
    """
    found: dict[int, datetime] = {}
    ids = list(user_ids)
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        for user_id, at in [*_ended(route, some), *_unheard_of(route, some)]:
            found[user_id] = max(at, found.get(user_id, at))
    return found


def _ended(route: str, user_ids: list[int]) -> list[tuple[int, datetime]]:
    """When the last one that is closed was, by one look into an index for each user."""
    theirs = Connection.objects.filter(
        user=OuterRef("pk"),
        route=route,
        closed_at__isnull=False,
        accepted_at__isnull=False,
    )
    last = theirs.order_by("-closed_at").values("closed_at")[:1]
    users = get_user_model().objects.filter(pk__in=user_ids)
    rows = users.annotate(last=Subquery(last)).values_list("pk", "last")
    return [(user_id, at) for user_id, at in rows if at is not None]


def _unheard_of(route: str, user_ids: list[int]) -> list[tuple[int, datetime]]:
    """When those were last known to be there that nobody has closed yet.

    Once they are taken for lost, they are closed at that time.
    """
    running = Process.objects.filter(stopped_at=None)
    heard_of = Greatest("active_at", "process__seen_at")
    rows = (
        Connection.objects.open()
        .filter(process__in=running, route=route, accepted_at__isnull=False)
        .filter(user__in=user_ids)
        .values_list("user")
        .annotate(last=Max(heard_of))
        .order_by()
    )
    return list(rows)
