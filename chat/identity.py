"""Whether the logins of those who are connected still hold."""

from typing import NamedTuple

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from monitor.scope import loaded_session, session_expiries, session_key

AT_ONCE = 500  # identities in a query


class Identity(NamedTuple):
    """Of a login, what is gone or changed when it ends."""

    user_id: object
    session_key: str
    auth_hash: str  # of the password, keyed; as the session has it


def identity_of(scope):
    """The login of a connection; None if it came by something else than a session."""
    values, key = loaded_session(scope), session_key(scope)
    if key is None or values is None or SESSION_KEY not in values:
        return None
    return Identity(scope["user"].pk, key, values.get(HASH_SESSION_KEY, ""))


def ended(identities, session_store):
    """Those of the identities whose login has ended.

    The session was deleted or is over, the account is gone or inactive, or the password
    is another one. Two queries for 500 of them, if sessions are kept in the database.
    """
    gone = set()
    identities = list(identities)
    for start in range(0, len(identities), AT_ONCE):
        some = identities[start : start + AT_ONCE]
        alive = _alive({one.session_key for one in some}, session_store)
        users = get_user_model()._default_manager.filter(is_active=True)
        users = users.in_bulk({one.user_id for one in some})
        gone.update(
            one
            for one in some
            if one.session_key not in alive or not _fits(one, users.get(one.user_id))
        )
    return gone


def _alive(keys, session_store):
    """Those of the session keys that stand for a session."""
    if not hasattr(session_store, "get_model_class"):
        return {key for key in keys if session_store().exists(key)}
    now = timezone.now()
    expiries = session_expiries(session_store, sorted(keys))
    return {key for key, expires_at in expiries.items() if expires_at > now}


def _fits(identity, user):
    if user is None:
        return False
    known = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(identity.auth_hash, one) for one in known)
