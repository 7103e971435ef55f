"""The one server of an embedded installation: its lock, and where it may listen."""

import fcntl
import ipaddress
import os
import resource
import socket

from django.conf import settings


class Refused(Exception):
    """The server must not start; the text says why, and what to do."""


def check_exposure():
    """Refuse to be seen from other machines with generated settings."""
    if _is_loopback(settings.HOST):
        return
    missing = [
        name for name in ("SECRET_KEY", "ALLOWED_HOSTS") if not os.environ.get(name)
    ]
    if missing:
        raise Refused(
            f"HOST={settings.HOST} can be reached from other machines, so set "
            f"{' and '.join(missing)} first (docs/settings.md says how)."
        )


def take_lock():
    """Refuse to be the second server on embedded data; return the open lock.

    SQLite would take it, but the in-memory channel layer serves one process: the two
    would not hear of each other's messages.
    """
    if not (settings.EMBEDDED_DATABASE or settings.EMBEDDED_LAYER):
        return None
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    lock = open(settings.DATA_DIR / "server.lock", "a+")  # noqa: SIM115 held until exit
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise Refused(
            f"Another server (PID {lock.read().strip() or 'unknown'}) runs on "
            f"{settings.DATA_DIR}; stop it, or set DATA_DIR to another directory, or "
            "both DATABASE_URL and REDIS_URL to run several."
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def listen():
    """Return a socket that listens on HOST:PORT."""
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    place = (settings.HOST.strip("[]"), settings.PORT)
    try:
        return socket.create_server(place, family=family, backlog=2048)
    except OSError as error:
        raise Refused(
            f"Cannot listen on {settings.HOST}:{settings.PORT} "
            f"({error.strerror or error}); set HOST or PORT to another one."
        ) from error


def address(listener):
    """The address of a listening socket, as a browser takes it."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def raise_file_limit():
    """Allow as many open sockets as the system lets this user have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _is_loopback(host):
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
