"""The one server of an embedded installation: its lock, and where it may listen."""

import contextlib
import fcntl
import ipaddress
import os
import resource
import socket

from django.conf import settings
from django.db import connection

# Seconds that a peer may leave what was sent to it unacknowledged: then the kernel
# gives it up, for whom no server waits any more (RFC 5482).
UNACKNOWLEDGED_FOR = 25


PREPARING = 0x6368616E  # any number, the same in all processes


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


@contextlib.contextmanager
def one_at_a_time():
    """Prepare the database while no other process does, wherever it runs.

    Processes that start together would make the same tables and accounts.
    """
    if connection.vendor != "postgresql":
        yield  # `take_lock` has seen to it
        return
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")  # others may take long
        cursor.execute("SELECT pg_advisory_lock(%s)", [PREPARING])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [PREPARING])
            cursor.execute("RESET statement_timeout")


def listen():
    """Return a socket that listens on HOST:PORT."""
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    place = (settings.HOST.strip("[]"), settings.PORT)
    try:
        listener = socket.create_server(place, family=family, backlog=2048)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; its sockets inherit it
            listener.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_FOR * 1000
            )
        return listener
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
