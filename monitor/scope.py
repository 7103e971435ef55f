"""What the server knows of a connection, fit to be shown and kept.

An allow-list: what is not named here stays out. Cookies: their names only.
Authorization, tokens and the session key: never.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from django.utils.crypto import salted_hmac
from django.utils.dateparse import parse_datetime
from django.utils.functional import empty

from .conf import settings

Scope = Mapping[str, Any]

MASK = "•••"
HEADERS = {
    b"accept-language",
    b"dnt",
    b"host",
    b"origin",
    b"sec-websocket-extensions",
    b"sec-websocket-protocol",
    b"sec-websocket-version",
    b"user-agent",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-real-ip",
    b"x-request-id",
}
HEADER_LIMIT = 500  # characters
NAME_LIMIT = 100  # cookies, and parameters of a query string
# Subprotocols carry tokens where a browser cannot set a header, so a word that looks
# like one is masked there, too.
TOKEN = re.compile(r"[A-Za-z0-9_\-.~+/=]{24,}")
SECRET = re.compile(
    r"pass|pwd|token|secret|csrf|session|\bsid\b|auth|bearer|key\b|signature|\bsig\b"
    r"|\bcode\b|\botp\b|credential|card|jwt|ticket",
    re.IGNORECASE,
)
BEGAN_AT = "_monitor_began_at"  # in the session, written at login


def describe(scope: Scope) -> dict[str, Any]:
    """Return what may be shown of a websocket scope, ready for JSON.

    Makes no query: a session or a user that is not loaded yet is left out.
    """
    facts = {
        "type": scope["type"],
        "path": describe_path(scope),
        "route": describe_route(scope),
        "query": describe_query(scope.get("query_string", b"")),
        "client": _address(scope.get("client")),
        "server": _address(scope.get("server")),
        "scheme": clean(str(scope.get("scheme", "ws")), 20),
        "http_version": clean(str(scope.get("http_version", "1.1")), 20),
        "subprotocols": [
            clean(TOKEN.sub(MASK, name)) for name in scope.get("subprotocols") or []
        ],
        "headers": describe_headers(scope.get("headers", [])),
        "cookies": [clean(name) for name in sorted(scope.get("cookies") or {})][
            :NAME_LIMIT
        ],
        "user": describe_user(scope),
        "session": describe_session(scope),
    }
    return {name: value for name, value in facts.items() if value is not None}


def describe_route(scope: Scope) -> dict[str, Any]:
    """The arguments that the router took from the path."""
    route = scope.get("url_route") or {}
    return {
        "args": [_masked("", str(value)) for value in route.get("args", ())],
        "kwargs": {
            name: _masked(name, str(value))
            for name, value in route.get("kwargs", {}).items()
        },
    }


def describe_path(scope: Scope) -> str:
    """The path, without what is masked among the arguments of its route."""
    path = clean(scope.get("path", ""))
    values = (scope.get("url_route") or {}).get("kwargs", {})
    route = describe_route(scope)
    for name, shown in route["kwargs"].items():
        if MASK in shown:
            path = path.replace(str(values[name]), MASK)
    given = (scope.get("url_route") or {}).get("args", ())
    for value, shown in zip(given, route["args"], strict=True):
        if MASK in shown:
            path = path.replace(str(value), MASK)
    return path


def describe_query(query_string: bytes) -> dict[str, list[str]]:
    """The parameters of a query string, secrets masked."""
    parameters: dict[str, list[str]] = {}
    # parse_qsl raises over 1000 fields rather than cut them.
    pieces = query_string[: 16 * 2**10].split(b"&")[:NAME_LIMIT]
    for name, value in parse_qsl(b"&".join(pieces).decode("latin1"), True):
        parameters.setdefault(clean(name), []).append(_masked(name, value))
    return parameters


def describe_headers(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers on the allow-list, each cut to `HEADER_LIMIT` characters."""
    shown = {}
    for name, value in headers:
        if name in HEADERS:
            text = value.decode("latin1")
            if name == b"sec-websocket-protocol":
                text = TOKEN.sub(MASK, text)
            shown[name.decode("latin1")] = clean(text, HEADER_LIMIT)
    return shown


def describe_user(scope: Scope) -> dict[str, Any] | None:
    """Who the scope says this is; None if nothing has authenticated it."""
    if scope.get("user") is None:
        return None
    user = authenticated_user(scope)
    if user is None:
        return {"authenticated": False}
    return {
        "authenticated": True,
        "id": str(user.pk),
        "username": clean(user.get_username(), 255),
        "staff": bool(getattr(user, "is_staff", False)),
        "superuser": bool(getattr(user, "is_superuser", False)),
    }


def authenticated_user(scope: Scope) -> Any:
    """The user of the scope; None for anonymous ones, and for what is no user of
    Django's."""
    user: Any = scope.get("user")
    if not (hasattr(user, "get_username") and hasattr(user, "pk")):
        return None
    return user if user.is_authenticated else None


def describe_session(scope: Scope) -> dict[str, Any] | None:
    """What may be known of the session: never its key."""
    values = loaded_session(scope)
    key = session_key(scope)
    if values is None or key is None:
        return None
    return {
        "hash": session_hash(key),
        "began_at": values.get(BEGAN_AT),
        "keys": sorted(clean(str(name)) for name in values if name != BEGAN_AT),
        "values": {
            name: clean(str(values[name]), HEADER_LIMIT)
            for name in settings.SESSION_KEYS
            if name in values
        },
    }


def loaded_session(scope: Scope) -> Mapping[str, Any] | None:
    """The session's values if they are in memory; asking for them would be I/O."""
    session = scope.get("session")
    return getattr(session, "_session_cache", None) if _is_set_up(session) else None


def session_key(scope: Scope) -> str | None:
    """The key of the session. A secret: it opens the account."""
    session = scope.get("session")
    return getattr(session, "session_key", None) if _is_set_up(session) else None


def session_hash(key: str) -> str:
    """Tell sessions apart without knowing their keys (HMAC with the secret key)."""
    return salted_hmac("monitor.session", key, algorithm="sha256").hexdigest()[:16]


def session_expiries(session_store: Any, keys: list[str]) -> dict[str, datetime]:
    """Ask the session table when sessions end, by key. One query.

    A scope cannot say it: a session store forgets the row it was loaded from, and
    computes an expiry from the present instead. Empty for backends without a table.
    `session_store` is a store or its class (`scope["session"]` will do).
    """
    if not hasattr(session_store, "get_model_class"):
        return {}
    rows = session_store.get_model_class().objects.filter(session_key__in=keys)
    return dict(rows.values_list("session_key", "expire_date"))


def began_at(facts: Mapping[str, Any]) -> datetime | None:
    """When a described session began: at the login, if the monitor was there."""
    written = facts.get("began_at")
    return parse_datetime(written) if written else None


def clean(text: str, limit: int = 2000) -> str:
    """Make text storable anywhere, and cut it to `limit` characters.

    PostgreSQL refuses NUL, no encoder takes a lone surrogate, and one refused row
    would cost its batch.
    """
    text = text[:limit]
    if "\0" in text:
        text = text.replace("\0", "�")
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text


def _masked(name: str, value: str) -> str:
    """A value, unless its name or its look says that it may be a secret."""
    return MASK if SECRET.search(name) else clean(TOKEN.sub(MASK, value))


def _address(address: Any) -> list[Any] | None:
    if not address:
        return None
    host, port = address[0], address[1]
    # Behind a proxy, both may be whatever a header said; 0 is no port.
    port = None if port == 0 else port
    valid = port is None or isinstance(port, int) and 0 < port <= 65535
    return [clean(str(host), 255), port if valid else clean(str(port), 20)]


def _is_set_up(session: Any) -> bool:
    # Channels puts a LazyObject into the scope, and fills it as it comes in.
    return session is not None and getattr(session, "_wrapped", session) is not empty
