"""The process under test: one application on one server, until SIGTERM.

    python -m tests.bench.serve uvicorn recorded-bare 8001

Nobody is pinged: the clients only count bytes.
"""

import socket
import sys
from importlib import import_module

import django

NEVER = 10**6  # seconds


def main():
    """Serve what the command line says, on loopback."""
    kind, name, port = sys.argv[1:]
    if name.endswith("chat"):
        return run_chat(kind, int(port))
    run = {"daphne": run_daphne, "uvicorn": run_uvicorn}[kind]
    run(application(name), int(port))


def application(name):
    """The application of this name, with Django set up if it needs that."""
    if name.startswith("socketio"):
        from . import socketio_apps

        return socketio_apps.application(name)
    django.setup()
    from .apps import APPLICATIONS

    return APPLICATIONS[name]


def run_daphne(app, port):
    """Serve as the command `daphne` does."""
    from daphne.server import Server

    Server(
        app,
        endpoints=[f"tcp:port={port}:interface=127.0.0.1"],
        ping_interval=NEVER,
        ping_timeout=NEVER,
        verbosity=0,
    ).run()


def run_uvicorn(app, port):
    """Serve as the command `uvicorn` does."""
    import uvicorn

    uvicorn.run(
        app,
        port=port,
        lifespan="off",
        log_level="warning",
        access_log=False,
        ws_ping_interval=None,
    )


def run_chat(kind, port):
    """Serve the site as `manage.py up` does."""
    django.setup()
    from project.asgi import application
    from project.servers import limits

    async def say_goodbye():
        """Say nothing: the clients are gone."""

    limits.PING_INTERVAL = limits.PING_TIMEOUT = NEVER
    listener = socket.create_server(("127.0.0.1", port), backlog=2048)
    server = import_module(f"project.servers.{kind}")
    server.run(listener, application, say_goodbye)


if __name__ == "__main__":
    main()
