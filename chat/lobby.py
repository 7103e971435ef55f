"""The room that is always there."""

from django.apps import apps as installed_apps
from django.db import router

LOBBY = "lobby"


def make_lobby(*, using, apps=installed_apps, **kwargs):
    """Make the lobby after a migration or a flush, unless it exists.

    Not in a migration: a flush would lose the room, and `/ws/chat/` leads to it.
    """
    try:
        room = apps.get_model("chat", "Room")
    except LookupError:  # migrated back to nothing
        return
    if not router.allow_migrate_model(using, room):
        return  # another database of the project's
    room.objects.using(using).get_or_create(slug=LOBBY, defaults={"name": LOBBY})
