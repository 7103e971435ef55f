"""What would make the chat unusable, said at the start."""

from django.conf import settings
from django.core.checks import Error

NEEDED = {
    "CHAT_RATE": (
        "nobody could write a message",
        "how many messages a second each user may send, such as 5",
    ),
    "CHAT_MAX_CONNECTIONS": (
        "nobody could enter a room",
        "how many sockets each user may have open in one process, such as 50",
    ),
    "CHAT_MAX_CONNECTIONS_OF_ADDRESS": (
        "nobody could enter a room",
        "how many sockets one address may have open in one process, such as 1000",
    ),
}


def check_limits(app_configs, **kwargs):
    """Report limits that would keep everybody out."""
    return [
        Error(
            f"{name} is {getattr(settings, name)}; {effect}.",
            hint=f"Say {wanted}.",
            id="chat.E001",
        )
        for name, (effect, wanted) in NEEDED.items()
        if not getattr(settings, name) > 0
    ]
