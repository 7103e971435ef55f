"""Looks at the set-up for what will go wrong later, and says how to mend it.

Everything is a Django check message: a problem, a remedy, and an id that stays.
`check_surroundings` is part of `manage.py check --deploy`, because it imports the
application; `examine` asks the database and all processes, too.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import Any

from channels.auth import AuthMiddleware
from channels.routing import ProtocolTypeRouter
from channels.security.websocket import OriginValidator
from channels.sessions import SessionMiddleware
from django.conf import settings as django_settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Warning
from django.db import connection
from django.utils.module_loading import import_string
from django.utils.version import get_version_tuple

from .conf import settings
from .middleware import MonitorMiddleware
from .models import Process
from .origin import SameOriginOnly
from .processes import setup
from .processes.setup import installed

CORE_LAYER = "channels_redis.core.RedisChannelLayer"
MEMORY_LAYER = "channels.layers.InMemoryChannelLayer"
PUBSUB_LAYER = "channels_redis.pubsub.RedisPubSubChannelLayer"
SAFE_DAPHNE = (4, 2, 2)
CLOCK_DIFFERENCE = 2.0  # seconds
ORIGIN_CHECKS = (SameOriginOnly, OriginValidator)
# How the client's address is taken from those who may say it, and from nobody else.
WRAPPER = (
    "application = uvicorn.middleware.proxy_headers.ProxyHeadersMiddleware("
    'application, trusted_hosts=["127.0.0.1"]) in asgi.py'
)
UVICORNS = (
    "Name the addresses of your proxies, with commas between: "
    "--forwarded-allow-ips=127.0.0.1"
)
DAPHNES = (
    "Leave the option out: daphne takes what the client itself wrote. Name the "
    f"addresses of your proxies instead: {WRAPPER}."
)
WRAPPED = ("app", "inner", "application")  # where middlewares keep what they wrap


def check_surroundings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What the monitor and the sites that it watches stand on."""
    if not settings.ENABLED:
        return []
    return [*_layer(), *_daphne(), *_stack()]


def examine() -> list[CheckMessage]:
    """All checks of the monitor, and what only the database and the processes tell.

    The worst first. Four queries.
    """
    found = checks.run_checks(tags=["monitor"], include_deployment_checks=True)
    processes = list(Process.objects.alive())
    found += [
        *_database(),
        *_together(processes),
        *_clock(processes),
        *_started(processes),
    ]
    return sorted(found, key=lambda message: -message.level)


def _layer() -> Iterator[CheckMessage]:
    backend = getattr(django_settings, "CHANNEL_LAYERS", {}).get("default", {})
    redis = get_version_tuple(installed("redis"))
    if backend.get("BACKEND") == CORE_LAYER and redis >= (8,):
        yield Error(
            f"{CORE_LAYER} with redis-py {installed('redis')} closes idle websockets "
            "every few seconds (channels_redis #422), and loses messages of a burst.",
            hint=f'Set the BACKEND in CHANNEL_LAYERS to "{PUBSUB_LAYER}".',
            id="monitor.E011",
        )
    if not backend:
        yield Warning(
            "There is no channel layer: dashboards look every few seconds, and no "
            "other process is told of anything.",
            hint=f'Set CHANNEL_LAYERS; "{MEMORY_LAYER}" will do for one process.',
            id="monitor.W011",
        )


def _daphne() -> Iterator[CheckMessage]:
    found = installed("daphne")
    if found and get_version_tuple(found) < SAFE_DAPHNE:
        yield Error(
            f"Daphne {found} takes messages of any size and lets headers be smuggled "
            "in (CVE-2026-44545, CVE-2026-44546).",
            hint='Type: pip install "daphne>=4.2.2"',
            id="monitor.E012",
        )


def _stack() -> Iterator[CheckMessage]:
    """The middlewares around the websocket application, from the outside."""
    name = getattr(django_settings, "ASGI_APPLICATION", None)
    if not name:
        return
    try:
        application = import_string(name)
    except Exception as error:
        yield Error(
            f"ASGI_APPLICATION, {name}, cannot be loaded: {error!r}.",
            hint="Mend what the error says; nothing is served without it.",
            id="monitor.E013",
        )
        return
    stack = list(_layers(application))
    places = {type(layer): place for place, layer in enumerate(stack)}
    monitor = places.get(MonitorMiddleware)
    if monitor is None:
        yield Error(
            f"No MonitorMiddleware was found around the websockets of {name}: nothing "
            "is recorded.",
            hint='Put it there: "websocket": AuthMiddlewareStack(MonitorMiddleware('
            "SameOriginOnly(MonitorRouter([...])))).",
            id="monitor.E014",
        )
        return
    origin = [places[kind] for kind in places if issubclass(kind, ORIGIN_CHECKS)]
    if not origin:
        yield Warning(
            "No origin check was found: any page of the web can open websockets here "
            "with the cookies of whoever looks at it (RFC 6455, 10.2).",
            hint="Put monitor.origin.SameOriginOnly inside of MonitorMiddleware: "
            "MonitorMiddleware(SameOriginOnly(...)).",
            id="monitor.W012",
        )
    elif min(origin) < monitor:
        yield Warning(
            "The origin check stands outside of MonitorMiddleware: what it refuses is "
            "not recorded.",
            hint="Turn them round: MonitorMiddleware(SameOriginOnly(...)).",
            id="monitor.W013",
        )
    inside = [kind for kind, place in places.items() if place > monitor]
    if any(_authenticates(kind) for kind in inside):
        yield Warning(
            "Authentication stands inside of MonitorMiddleware: connections are "
            "recorded without user and session.",
            hint="Turn them round: AuthMiddlewareStack(MonitorMiddleware(...)).",
            id="monitor.W014",
        )
    if any(_trusts_all(layer) for layer in stack):
        remedy = "Name the addresses of your proxies in TRUSTED_PROXIES (in another "
        remedy += f"project: {WRAPPER})."
        yield _forgeable("ProxyHeadersMiddleware trusts every address", remedy)


def _layers(application: Any) -> Iterator[Any]:
    """What is wrapped around the websocket application, one after the other."""
    while application is not None:
        yield application
        if isinstance(application, ProtocolTypeRouter):
            application = application.application_mapping.get("websocket")
            continue
        kept = getattr(application, "__dict__", {})
        wrapped = (kept.get(name) for name in WRAPPED)
        application = next((one for one in wrapped if one is not None), None)


def _authenticates(kind: type) -> bool:
    """Whether a middleware is Channels', or says so by `authenticates = True`."""
    channels = issubclass(kind, (AuthMiddleware, SessionMiddleware))
    return channels or bool(getattr(kind, "authenticates", False))


def _trusts_all(layer: Any) -> bool:
    trusted = getattr(layer, "trusted_hosts", None)
    networks = getattr(trusted, "trusted_networks", ())
    all_of_them = any(network.prefixlen == 0 for network in networks)
    return all_of_them or bool(getattr(trusted, "always_trust", False))


def _forgeable(what: str, remedy: str) -> CheckMessage:
    return Warning(
        f"{what}: clients can write themselves any address, in the records, for "
        "limits and for blocks.",
        hint=remedy,
        id="monitor.W015",
    )


def _database() -> Iterator[CheckMessage]:
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        [mode] = cursor.fetchone()
    if mode not in ("wal", "memory"):
        yield Warning(
            f"SQLite's journal mode is {mode}: whoever writes keeps all others from "
            "reading.",
            hint='Say OPTIONS = {"init_command": "PRAGMA journal_mode=WAL;", '
            '"transaction_mode": "IMMEDIATE"} in DATABASES.',
            id="monitor.W016",
        )


def _together(processes: list[Process]) -> Iterator[CheckMessage]:
    """What several processes must not share, or must."""
    if len(processes) < 2:
        return
    names = ", ".join(sorted(process.name for process in processes)[:5])
    if any(process.setup.get("layer") == MEMORY_LAYER for process in processes):
        yield Error(
            f"{len(processes)} processes are alive ({names}) and the channel layer is "
            "in memory: they do not hear of each other.",
            hint="Run one process, or set REDIS_URL (in another project: "
            f"{PUBSUB_LAYER} in CHANNEL_LAYERS).",
            id="monitor.E015",
        )
    if any(process.setup.get("database") == "sqlite" for process in processes):
        yield Warning(
            f"{len(processes)} processes are alive ({names}) and write to one SQLite "
            "file: each waits for the others.",
            hint="Run one process, or set DATABASE_URL to a PostgreSQL database.",
            id="monitor.W017",
        )


def _clock(processes: Iterable[Process]) -> Iterator[CheckMessage]:
    """The clocks of all machines and that of the database, by which leases run."""
    here = socket.gethostname()
    seconds = {here: setup.clock_difference()}
    for process in processes:
        seconds.setdefault(process.host, process.setup.get("clock", 0.0))
    for host, ahead in seconds.items():
        if abs(ahead) <= CLOCK_DIFFERENCE:
            continue
        yield Warning(
            f"The clock of {host} is {abs(ahead):.1f} s "
            f"{'ahead of' if ahead > 0 else 'behind'} the database's"
            f"{'' if host == here else ', or was when a process started there'}: times "
            "of events and of what the database notes do not fit together.",
            hint="Have both machines keep time by NTP: apt-get install "
            "systemd-timesyncd && timedatectl set-ntp true",
            id="monitor.W018",
        )


def _started(processes: Iterable[Process]) -> Iterator[CheckMessage]:
    """What the servers were told on their command lines."""
    for process in processes:
        interval = process.setup.get("ping_interval")
        timeout = process.setup.get("ping_timeout")
        if interval and timeout and timeout > interval:
            prefix = "--ws-ping" if process.server == "uvicorn" else "--ping"
            yield Warning(
                f"{process.name} waits {timeout:g} s for the answer to a ping, and "
                f"sends one every {interval:g} s: {process.server} drops live clients.",
                hint=f"Start it with {prefix}-interval 20 {prefix}-timeout 15.",
                id="monitor.W019",
            )
        if option := process.setup.get("forgeable"):
            remedy = UVICORNS if process.server == "uvicorn" else DAPHNES
            yield _forgeable(f"{process.name} was started with {option}", remedy)
