"""The demo accounts of a new installation, and their one password."""

import secrets

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group

ACCOUNTS = {
    "ana": "chats",
    "bruno": "chats",
    "vera": "watches: the dashboard, without the texts of messages",
    "olga": "operates: the dashboard with texts, and may disconnect",
    "admin": "may do everything",
    "sam": "is staff, but without a right to the monitor",
}
STAFF = ("vera", "olga", "admin", "sam")
GROUPS = {"vera": "Monitor viewers", "olga": "Monitor operators"}


def make_accounts():
    """Make the demo accounts, unless there is any user already.

    Returns the password to print, or None if these accounts are not there, or
    nobody knows their password. `DEMO_PASSWORD`, given later, changes it.
    """
    users = get_user_model().objects
    kept = settings.DATA_DIR / "demo-password"
    if not users.exists():
        password = settings.DEMO_PASSWORD or secrets.token_urlsafe(9)
        _create(users, password)
        _keep(kept, password)
        return password

    password = kept.read_text().strip() if kept.exists() else None
    if settings.DEMO_PASSWORD and password and password != settings.DEMO_PASSWORD:
        password = settings.DEMO_PASSWORD
        users.filter(username__in=ACCOUNTS).update(password=make_password(password))
        _keep(kept, password)
    return password


def _create(users, password):
    hashed = make_password(password)  # slow by design, and the same for all
    for name in ACCOUNTS:
        user = users.create(
            username=name,
            password=hashed,
            is_staff=name in STAFF,
            is_superuser=name == "admin",
        )
        if name in GROUPS:
            user.groups.add(Group.objects.get(name=GROUPS[name]))


def _keep(path, password):
    path.touch(mode=0o600)
    path.write_text(password + "\n")
