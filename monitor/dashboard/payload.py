"""The text of an event as a viewer may see it, and in words what there is not of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from monitor.models import Event
from monitor.scope import MASK

from . import figures

Kind, Omission = Event.Kind, Event.Omission
MESSAGES = (Kind.RECEIVE, Kind.SEND)


# What codes say that come without a reason (RFC 6455, 7.4.1).
CLOSE_CODES = {
    1000: gettext_lazy("closed"),
    1001: gettext_lazy("went away"),
    1002: gettext_lazy("protocol error"),
    1005: gettext_lazy("closed, without a code"),
    1006: gettext_lazy("lost, without a close"),
    1007: gettext_lazy("no valid text"),
    1009: gettext_lazy("message too big"),
    1011: gettext_lazy("error of the server"),
    1012: gettext_lazy("server restarts"),
}


class Payload(NamedTuple):
    """What an event says."""

    text: str = ""  # a message's, or what happened
    note: str = ""  # why there is no text, or no more of it
    traceback: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.text, self.note) if part)


def payload(event: Any, text: str, may_read: bool, whole: bool = True) -> Payload:
    """What a viewer may see of an event. `text`: the event's, or the start of it.

    Without the right to read texts, the size of one stands in its place.
    """
    if event.kind not in MESSAGES:
        words = event.detail or str(CLOSE_CODES.get(event.code, ""))
        said = f"{event.code} {words}" if event.code else words
        return Payload(said.strip(), traceback=_traceback(event, text, may_read))
    if not may_read:
        return Payload(note=f"{MASK} {figures.size(event.size)}")
    return Payload(text, _note(event, text, whole))


def _traceback(event: Any, text: str, may_read: bool) -> str:
    # It quotes what was said, or may.
    return text if event.kind == Kind.ERROR and may_read else ""


def _note(event: Any, text: str, whole: bool) -> str:
    size = figures.size(event.size)
    match event.omission:
        case Omission.CUT if whole:
            kept = figures.size(len(text.encode()))
            return _("cut at %(kept)s of %(size)s") % {"kept": kept, "size": size}
        case Omission.CUT:
            return _("cut, %s in all") % size
        case Omission.POLICY:
            return _("text left out by the capture policy, %s") % size
        case Omission.FULL:
            return _("text left out because the journal was nearly full, %s") % size
        case Omission.REDACTION:
            return _("text left out because masking it failed, %s") % size
        case _ if event.size and not text:
            return _("binary, %s") % size
    return ""
