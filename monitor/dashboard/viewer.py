"""Who looks at the dashboard, and what they may see of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model


@dataclass(frozen=True)
class Viewer:
    """The rights of a member of staff, as the database has them now."""

    permissions: frozenset[str]

    @classmethod
    def of(cls, user: Any) -> Viewer:
        """Read the rights of `user`; none for those who are not staff."""
        if not (user.is_authenticated and user.is_active and user.is_staff):
            return cls(frozenset())
        held = user.get_all_permissions()
        return cls(frozenset(name for name in held if name.startswith("monitor.")))

    @classmethod
    def by_id(cls, user_id: Any) -> Viewer:
        """Read the rights of the user with this primary key, afresh."""
        user = get_user_model()._default_manager.filter(pk=user_id).first()
        return cls(frozenset()) if user is None else cls.of(user)

    def may(self, permission: str) -> bool:
        """Tell whether the viewer has `monitor.<permission>`."""
        return f"monitor.{permission}" in self.permissions

    @property
    def may_enter(self) -> bool:
        """Whether there is a dashboard for this viewer at all."""
        return self.may("view_connection")
