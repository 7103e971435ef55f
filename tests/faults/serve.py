# ruff: noqa: E402 the settings come before anything that imports a model
"""`python -m tests.faults.serve`: what `manage.py up` does, around our consumers."""

import os
from importlib import import_module

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.faults.settings"
django.setup()

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from monitor.processes.local import local_process
from project import installation
from project.servers import limits

from .consumers import application


async def say_goodbye():
    """Close every connection, as `manage.py up` does."""
    await local_process().close_all(4012, "The server restarts.")


def main():
    """Recover, serve until a signal comes, and store what waits."""
    installation.take_lock()
    listener = installation.listen()
    call_command("migrate", verbosity=0, interactive=False)
    local_process().recover()
    local_process().start()
    connections.close_all()
    limits.PING_INTERVAL = settings.PING_INTERVAL
    limits.PING_TIMEOUT = settings.PING_TIMEOUT
    server = import_module(f"project.servers.{settings.SERVER}")
    server.run(listener, application, say_goodbye)
    local_process().stop()


if __name__ == "__main__":
    main()
