"""What is kept of a connection and of a message."""

from __future__ import annotations

from typing import Any, NamedTuple

from monitor.models import client_text
from monitor.scope import (
    authenticated_user,
    clean,
    describe,
    session_hash,
    session_key,
)


class Kept(NamedTuple):
    """What is kept of one message."""

    text: str  # cut, and storable anywhere; "" for bytes
    size: int  # bytes of the whole message


def keep(message: dict[str, Any], limit: int) -> Kept:
    """Return what is kept of a `websocket.receive` message.

    `limit` is in bytes of UTF-8. The whole message may be large, the client may
    send many of them, and every copy of it is taken on the event loop: cut first.
    """
    text = message.get("text")
    if text is None:
        return Kept("", len(message.get("bytes") or b""))
    if len(text) <= limit and text.isascii():
        return Kept(text.replace("\0", "�") if "\0" in text else text, len(text))
    size = size_of(text)
    cut = clean(text, limit)
    if not cut.isascii():
        cut = cut.encode()[:limit].decode("utf-8", "ignore")
    return Kept(cut, size)


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
        "route_args": facts["route"]["kwargs"],
        "scope": facts,
    }


def user_row(scope: dict[str, Any]) -> dict[str, Any]:
    """The user of the scope, by the fields of `Connection` and `Event`."""
    user = authenticated_user(scope)
    if user is None:
        return {"user_id": None, "username": ""}
    return {"user_id": str(user.pk), "username": clean(user.get_username(), 255)}


def client_of(row: dict[str, Any]) -> str:
    """The client of a connection row, as events carry it."""
    return client_text(row["client_host"], row["client_port"])


def _client(scope: dict[str, Any]) -> tuple[str, int | None]:
    client = scope.get("client")
    if not client:
        return "", None
    host, port = client[0], client[1]
    # Behind a proxy, both may be whatever a header said.
    valid = isinstance(port, int) and 0 <= port <= 65535
    return clean(str(host), 255), port if valid else None
