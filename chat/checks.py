"""What would make the chat unusable, said at the start."""

from django.conf import settings
from django.core.checks import Error


def check_rate(app_configs, **kwargs):
    """Report a rate at which nobody could ever write."""
    if settings.CHAT_RATE > 0:
        return []
    return [
        Error(
            f"CHAT_RATE is {settings.CHAT_RATE}; nobody could write a message.",
            hint="Say how many messages a second each user may send, such as 5.",
            id="chat.E001",
        )
    ]
