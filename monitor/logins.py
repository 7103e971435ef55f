"""When a session began: Django does not keep it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from .scope import BEGAN_AT


def note_login(request: HttpRequest | None, **kwargs: Any) -> None:
    """Write the time of the login into the session, which is saved anyway."""
    if request is not None and hasattr(request, "session"):
        request.session[BEGAN_AT] = timezone.now().isoformat()
