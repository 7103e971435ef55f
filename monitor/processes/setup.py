"""How this process was started, as far as others should know: see `monitor.doctor`."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone


def facts() -> dict[str, Any]:
    """The channel layer, the database, and what the server was told; ready for JSON.

    `ping_interval` and `ping_timeout` are seconds; what is not known is left out.
    """
    layers = getattr(django_settings, "CHANNEL_LAYERS", {})
    known = {
        "layer": layers.get("default", {}).get("BACKEND", ""),
        "database": connection.vendor,
        "daphne": installed("daphne"),
    }
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    if name == "daphne":
        return known | _of_daphne(sys.argv[1:])
    if name == "uvicorn":
        return known | _of_uvicorn(sys.argv[1:])
    return known


def clock_difference() -> float:
    """Seconds that this machine's clock is ahead of the database's; below 0: behind.

    What the question itself takes is left out. One query.
    """
    if connection.vendor != "postgresql":
        return 0.0  # they are one
    asked_at = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [there] = cursor.fetchone()
    answered_at = timezone.now()
    at_least = max(asked_at, min(there, answered_at)) - there
    return float(at_least.total_seconds())


def installed(package: str) -> str:
    """The version of an installed package; "" if it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _of_daphne(arguments: list[str]) -> dict[str, Any]:
    from daphne.cli import CommandLineInterface  # other servers do not need it

    said, _ = CommandLineInterface().parser.parse_known_args(arguments)
    return {
        "ping_interval": said.ping_interval,
        "ping_timeout": said.ping_timeout,
        "forgeable": "--proxy-headers" if said.proxy_headers else "",
    }


def _of_uvicorn(arguments: list[str]) -> dict[str, Any]:
    text = " ".join(arguments).replace("=", " ").split()
    said = dict(zip(text, text[1:], strict=False))
    trusted = said.get("--forwarded-allow-ips") or os.environ.get("FORWARDED_ALLOW_IPS")
    return {
        "ping_interval": float(said.get("--ws-ping-interval", 20)),
        "ping_timeout": float(said.get("--ws-ping-timeout", 20)),
        "forgeable": "--forwarded-allow-ips=*" if trusted == "*" else "",
    }
