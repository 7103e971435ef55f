from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.core import checks
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

from .groups import make_groups
from .logins import note_login


class MonitorConfig(AppConfig):
    name = "monitor"
    verbose_name = _("Monitor")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from .checks import check_setup  # these need the models
        from .doctor import check_surroundings

        checks.register(check_setup, "monitor")
        checks.register(check_surroundings, "monitor", deploy=True)
        # Not a migration: permissions do not exist before this signal.
        post_migrate.connect(make_groups, sender=self)
        user_logged_in.connect(note_login, dispatch_uid="monitor.note_login")
