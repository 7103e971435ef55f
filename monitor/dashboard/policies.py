"""How much is kept of a connection's messages, and who said so."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from monitor.conf import settings
from monitor.models import CapturePolicy, Connection
from monitor.recording.rules import DEFAULT, deciding

Level = CapturePolicy.Level


class InForce(NamedTuple):
    """A level, and why it is this one."""

    level: str  # in words
    source: str  # in words
    policy_id: int | None = None


def in_force(connection: Connection) -> InForce:
    """What is kept now of the messages of a connection. One query."""
    if not keeps_messages(connection):
        never = _("nothing of its messages")
        return InForce(never, _("the application says so (monitor_frames)"))
    policies = {policy.pattern: policy for policy in CapturePolicy.objects.all()}
    if pattern := deciding(policies, connection.path):
        policy = policies[pattern]
        source = _("policy of staff for %s") % pattern
        return InForce(policy.get_level_display(), source, policy.pk)
    pattern = deciding(settings.CAPTURE, connection.path)
    # A level that is none is told of by a system check, and does nothing.
    if pattern and settings.CAPTURE[pattern] in Level.values:
        level = Level(settings.CAPTURE[pattern]).label
        return InForce(str(level), _("setting MONITOR_CAPTURE for %s") % pattern)
    return InForce(str(DEFAULT.label), _("default"))


def otherwise() -> str:
    """What is in force where no policy of staff fits, in a sentence."""
    default = str(DEFAULT.label)
    if not settings.CAPTURE:
        return _("Where no policy fits, this is kept – %s.") % default
    said = ", ".join(f"{path}: {level}" for path, level in settings.CAPTURE.items())
    return _(
        "Where no policy fits, the setting MONITOR_CAPTURE decides (%(setting)s); "
        "where it has nothing to say, this is kept – %(default)s."
    ) % {"setting": said, "default": default}


def keeps_messages(connection: Connection) -> bool:
    """Whether the application lets the messages of a connection be kept.

    Asks its consumer, if that is loaded in this process: a name from the database
    is no reason to import anything.
    """
    parts = connection.consumer.split(".")
    for length in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:length]))
        if found is not None:
            for name in parts[length:]:
                found = getattr(found, name, None)
            return bool(getattr(found, "monitor_frames", True))
    return True
