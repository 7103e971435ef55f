"""Who looks at the dashboard, and what they may see of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.utils.crypto import constant_time_compare

from monitor.groups import GROUPS
from monitor.scope import session_key

PERMISSIONS = GROUPS["Monitor operators"]  # all that there are


@dataclass(frozen=True)
class Viewer:
    """The rights of a member of staff, as the database has them now."""

    permissions: frozenset[str]

    @classmethod
    def of(cls, user: Any) -> Viewer:
        """Read the rights of `user`; none for those who are not staff."""
        if not (user.is_active and getattr(user, "is_staff", False)):
            return cls(frozenset())
        held = [name for name in PERMISSIONS if user.has_perm(f"monitor.{name}")]
        return cls(frozenset(held))

    def may(self, permission: str) -> bool:
        """Tell whether the viewer has `monitor.<permission>`."""
        return permission in self.permissions

    @property
    def may_enter(self) -> bool:
        """Whether there is a dashboard for this viewer at all."""
        return self.may("view_connection")


def present_user(scope: Mapping[str, Any]) -> Any:
    """Return the user of an open socket as the database has them now.

    None if they have signed out since, their session has expired, their password
    has changed, or their account is gone. Asks the database.
    """
    users: Any = get_user_model()._default_manager
    user = users.filter(pk=scope["user"].pk).first()
    key = session_key(scope)
    if user is None or key is None:  # authenticated by something else than a session
        return user
    session = scope["session"].__class__(key).load()
    if SESSION_KEY not in session:
        return None
    given = session.get(HASH_SESSION_KEY, "")
    known = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return user if any(constant_time_compare(given, one) for one in known) else None
