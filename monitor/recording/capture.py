"""What is kept of a connection and of a message."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import orjson

from monitor.models import Event
from monitor.scope import (
    authenticated_user,
    clean,
    describe,
    session_hash,
    session_key,
)

from .masking import is_harmless, mask_start

Redact = Callable[[str, str], str]


Omission = Event.Omission


# What is kept of one message: its text, masked, cut, and storable anywhere ("" for
# bytes); the bytes of the whole message; an `Event.Omission`. A plain tuple, because
# one is made for each message.
Kept = tuple[str, int, str]


def keep(message: dict[str, Any], limit: int) -> Kept:
    """Return what is kept of a `websocket.receive` or `websocket.send` message.

    `limit` is in bytes of UTF-8. The whole message may be large, the client may
    send many of them, and every copy of it is taken on the event loop: cut first.
    Bytes are not kept, because secrets could not be found in them.
    """
    text = message.get("text")
    if text is None:
        size = len(message.get("bytes") or b"")
        return "", size, Omission.BINARY.value if size else ""
    if text.isascii() and len(text) <= limit and "\0" not in text and is_harmless(text):
        return text, len(text), ""
    size = size_of(text)
    if not limit:
        return "", size, Omission.POLICY.value if size else ""
    cut = clean(text, limit)
    if not cut.isascii():
        cut = cut.encode()[:limit].decode("utf-8", "ignore")
    masked, is_whole = mask_start(cut)
    return masked, size, "" if is_whole and size <= limit else Omission.CUT.value


def redacted(kept: Kept, redact: Redact, path: str) -> Kept:
    """Apply the project's own function. Whatever that raises."""
    text, size, omission = kept
    text = redact(text, path)
    if not isinstance(text, str):
        raise TypeError(f"MONITOR_REDACT returned {type(text).__name__}, not str")
    return clean(text, len(text)), size, omission


def size_of(text: str) -> int:
    """The bytes of a text on the wire (UTF-8)."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def message_size(message: dict[str, Any]) -> int:
    """The bytes of a `websocket.send` message on the wire, without its frame."""
    text = message.get("text")
    return len(message.get("bytes") or b"") if text is None else size_of(text)


def connection_row(scope: dict[str, Any]) -> dict[str, Any]:
    """Return what the scope says of a connection, by the fields of `Connection`."""
    facts = describe(scope)
    headers = facts["headers"]
    host, port = _client(scope)
    key = session_key(scope)
    return {
        **user_row(scope),
        "path": facts["path"],
        "client_host": host,
        "client_port": port,
        "user_agent": headers.get("user-agent", ""),
        "origin": headers.get("origin", ""),
        "session_hash": session_hash(key) if key else "",
        # Texts already: nobody between here and the database looks into them.
        "route_args": orjson.dumps(facts["route"]["kwargs"]).decode(),
        "scope": orjson.dumps(facts).decode(),
    }


def user_row(scope: dict[str, Any]) -> dict[str, Any]:
    """The user of the scope, by the fields of `Connection`."""
    user = authenticated_user(scope)
    if user is None:
        return {"user_id": None, "username": ""}
    return {"user_id": key_text(user.pk), "username": clean(user.get_username(), 255)}


def key_text(key: Any) -> str:
    """A primary key as the journal has it; a UUID as 32 hexadecimal digits."""
    return key.hex if isinstance(key, uuid.UUID) else str(key)


def _client(scope: dict[str, Any]) -> tuple[str, int | None]:
    client = scope.get("client")
    if not client:
        return "", None
    host, port = client[0], client[1]
    # Behind a proxy, both may be whatever a header said; 0 is how uvicorn's middleware
    # says that it said no port.
    valid = isinstance(port, int) and 0 < port <= 65535
    return clean(str(host), 255), port if valid else None
