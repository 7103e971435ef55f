"""Which pages may open a websocket here: those of this site, and no others."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from .middleware import note_refusal

LOOPBACK = [".localhost", "127.0.0.1", "[::1]"]


class SameOriginOnly:
    """ASGI middleware that answers 403 to a handshake from a foreign page.

    A browser sends its cookies with every websocket handshake, whatever page asked
    for it, so the Origin header is all that stands against cross-site websocket
    hijacking (RFC 6455 section 10.2). The rule is that of Django's CSRF check: the
    origin is this host with its scheme and port, or stands in
    `CSRF_TRUSTED_ORIGINS`. A missing Origin and "null" are foreign.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if is_own_origin(scope):
            await self.app(scope, receive, send)
        else:
            note_refusal(scope, "foreign origin")
            await send({"type": "websocket.close"})


def is_own_origin(scope: Mapping[str, Any]) -> bool:
    """Tell whether the handshake in `scope` comes from a page of this site."""
    headers = {name: value.decode("latin1") for name, value in scope["headers"]}
    names = [name for name, _ in scope["headers"]]
    if names.count(b"origin") != 1 or names.count(b"host") != 1:
        return False
    origin, host = headers[b"origin"].lower(), headers[b"host"].lower()

    domain, _ = split_domain_port(host)
    # As Django does for a project that is being developed.
    allowed = settings.ALLOWED_HOSTS or (LOOPBACK if settings.DEBUG else [])
    if validate_host(domain, allowed):
        scheme = "https" if _is_secure(scope, headers) else "http"
        if origin == f"{scheme}://{host}":
            return True

    return any(_trusts(pattern, origin) for pattern in settings.CSRF_TRUSTED_ORIGINS)


def _is_secure(scope: Mapping[str, Any], headers: dict[bytes, str]) -> bool:
    if scope.get("scheme") == "wss":  # daphne does not say
        return True
    if not settings.SECURE_PROXY_SSL_HEADER:
        return False
    name, value = settings.SECURE_PROXY_SSL_HEADER
    header = name.removeprefix("HTTP_").replace("_", "-").lower().encode()
    return headers.get(header, "").split(",")[0].strip() == value


def _trusts(pattern: str, origin: str) -> bool:
    try:
        trusted, given = urlsplit(pattern.lower()), urlsplit(origin)
    except ValueError:  # "http://[" is no address
        return False
    if trusted.scheme != given.scheme:
        return False
    if trusted.netloc.startswith("*."):
        return given.netloc.endswith(trusted.netloc[1:])
    return given.netloc == trusted.netloc
