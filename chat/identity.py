"""Who has logged in with a session, and whether that still holds."""

from importlib import import_module
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
)
from django.core.exceptions import SuspiciousOperation, ValidationError
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from monitor.scope import loaded_session, session_key


class Login(NamedTuple):
    """What a session stands for."""

    values: dict  # that the session holds
    user: object  # None if it is nobody's login, or not any more


class Identity(NamedTuple):
    """Of a login, what must stay the same for as long as it holds."""

    user_id: object
    session_key: str


def session_store():
    """The class of the site's session stores."""
    return import_module(settings.SESSION_ENGINE).SessionStore


def logins(keys):
    """Return the `Login` of each session that goes on, by its key.

    As `channels.auth.get_user`, but for many at once: two queries, if sessions are kept
    in the database. `SECRET_KEY_FALLBACKS` count, too, and what does not hold any more
    is left alone: that one would end the session of the browser's pages, as well.
    """
    sessions = _sessions(keys)
    ids = {key: _user_id(values) for key, values in sessions.items()}
    # As ModelBackend finds them, by which alone people log in here.
    users = get_user_model()._default_manager.filter(is_active=True)
    users = users.in_bulk({pk for pk in ids.values() if pk is not None})
    return {
        key: Login(values, _confirmed(users.get(ids[key]), values))
        for key, values in sessions.items()
    }


def identity_of(scope):
    """The login of a connection; None if it came by something else than a session."""
    values, key = loaded_session(scope), session_key(scope)
    if key is None or values is None or SESSION_KEY not in values:
        return None
    return Identity(scope["user"].pk, key)


def ended(identities):
    """Those of the identities whose login has ended.

    The session was deleted or is over, the account is gone or inactive, or the password
    is another one.
    """
    found = logins({one.session_key for one in identities})
    users = {key: login.user.pk for key, login in found.items() if login.user}
    return {one for one in identities if users.get(one.session_key) != one.user_id}


def _sessions(keys):
    """What sessions hold, by their keys; those that are over are left out."""
    store = session_store()
    if not hasattr(store, "get_model_class"):
        loaded = {key: _loaded(store(key)) for key in keys}
        return {key: values for key, values in loaded.items() if values}
    # PostgreSQL refuses NUL, and one refused key would cost all others their answer.
    keys = [key for key in keys if "\0" not in key]
    rows = store.get_model_class().objects.filter(
        session_key__in=keys, expire_date__gt=timezone.now()
    )
    return {row.session_key: store().decode(row.session_data) for row in rows}


def _loaded(session):
    """What one session holds; nothing if its key is whatever a cookie said."""
    try:
        return session.load()
    except SuspiciousOperation:
        return {}


def _user_id(values):
    if values.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None
    try:
        return get_user_model()._meta.pk.to_python(values.get(SESSION_KEY))
    except ValidationError:  # from before users had keys of another kind
        return None


def _confirmed(user, values):
    """The user, if the password is the one with which this session began."""
    if user is None:
        return None
    given = values.get(HASH_SESSION_KEY, "")
    known = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return user if any(constant_time_compare(given, one) for one in known) else None
