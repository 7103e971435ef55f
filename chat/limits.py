"""The chat's limits in words, for those who watch it."""

from django.conf import settings

from monitor.limits import Limit

from .codes import CloseCode
from .consumers import SEARCH_RATE
from .hub import Hub
from .incoming import FRAME_LIMIT, TEXT_LIMIT
from .ledger import Ledger
from .member import Member
from .models import MentionQuerySet, MessageQuerySet
from .rate import burst
from .socket import QUESTION_RATE, frame_rate


def limits():
    """All that the chat limits, the way the dashboard shows it."""
    slow = "let go; the client comes back and resumes"
    return [
        Limit(
            "messages of a user",
            _rate(settings.CHAT_RATE),
            "told when to try again, and let go if it goes on",
            CloseCode.TOO_FAST,
        ),
        Limit(
            "questions of a user (history, search, resume, rooms, whoami)",
            _rate(QUESTION_RATE),
            "the same",
            CloseCode.TOO_FAST,
        ),
        Limit(
            "searches of a user, which are questions, too",
            _rate(SEARCH_RATE),
            "the same",
            CloseCode.TOO_FAST,
        ),
        Limit(
            "what one search looks through",
            f"{MessageQuerySet.SEARCHED:,} messages",
            "the next one goes on from there",
        ),
        Limit(
            "users whom one message calls",
            f"{MentionQuerySet.CALLED}",
            "the others see nothing of it in their lists",
        ),
        Limit(
            "frames of a user, of any kind",
            _rate(frame_rate()),
            "the same",
            CloseCode.TOO_FAST,
        ),
        Limit(
            "connections of a user, in a process",
            f"{settings.CHAT_MAX_CONNECTIONS:,}",
            "refused, and may come back in a minute",
            CloseCode.TOO_FAST,
        ),
        Limit(
            "connections of an address, in a process",
            f"{settings.CHAT_MAX_CONNECTIONS_OF_ADDRESS:,}",
            "the same; loopback addresses are not counted",
            CloseCode.TOO_FAST,
        ),
        Limit("a message", f"{TEXT_LIMIT:,} characters", "refused"),
        Limit("a frame", f"{FRAME_LIMIT // 2**10} KiB", "refused"),
        Limit(
            "what waits for one client",
            f"{Member.LIMIT} frames, {Member.SIZE_LIMIT // 2**10} KiB",
            slow,
            CloseCode.TOO_SLOW,
        ),
        Limit(
            "what a client has not acknowledged, if it acknowledges any",
            f"{Member.LIMIT} changes, {Member.SIZE_LIMIT // 2**10} KiB",
            slow,
            CloseCode.TOO_SLOW,
        ),
        Limit(
            "time in which a client takes nothing that waits",
            f"{2 * Hub.HEARTBEAT_INTERVAL:g} s",
            slow,
            CloseCode.TOO_SLOW,
        ),
        Limit(
            "messages that wait for the database, in a process",
            f"{Ledger.LIMIT:,}",
            "refused until there are fewer",
        ),
    ]


def _rate(rate):
    return f"{rate:g} a second, {burst(rate):g} at once"
