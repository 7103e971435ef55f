from django.apps import AppConfig
from django.core.checks import register
from django.db.models.signals import post_migrate

from .checks import check_limits
from .lobby import make_lobby


class ChatConfig(AppConfig):
    """Rooms in which logged-in users talk over websockets."""

    name = "chat"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        register(check_limits)
        post_migrate.connect(make_lobby, sender=self)
