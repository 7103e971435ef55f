"""The two groups that staff get their rights from."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth.management import create_permissions
from django.db import DEFAULT_DB_ALIAS, router

VIEW = (
    *("view_process", "view_connection", "view_event", "view_action", "view_gap"),
    *("view_trace", "view_capturepolicy", "view_block"),
)
OPERATE = (
    *("view_payload", "disconnect_connection", "add_trace", "change_trace"),
    *("add_capturepolicy", "change_capturepolicy", "delete_capturepolicy"),
    *("log_out_user", "send_notice", "add_block", "change_block", "drain_process"),
)
GROUPS = {
    "Monitor viewers": VIEW,
    "Monitor operators": (*VIEW, *OPERATE),
}


def make_groups(
    app_config: AppConfig, using: str = DEFAULT_DB_ALIAS, **kwargs: Any
) -> None:
    """Make the groups and give them their permissions; take nothing away.

    Runs after every `migrate`.
    """
    if not router.allow_migrate_model(using, apps.get_model("auth", "Group")):
        return  # another database of the project's
    # Made after `migrate`, too, but later than this where auth is installed behind us.
    create_permissions(app_config, verbosity=0, using=using)
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    for name, codenames in GROUPS.items():
        group, _ = Group.objects.using(using).get_or_create(name=name)
        permissions = Permission.objects.using(using).filter(
            content_type__app_label="monitor", codename__in=codenames
        )
        group.permissions.add(*permissions)
