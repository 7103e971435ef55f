"""`manage.py up`: everything that a start needs, then the server."""

import asyncio
import os
from importlib import import_module

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.utils.translation import gettext_noop as _

from chat.consumers import searcher
from chat.hub import local_hub
from chat.ledger import ledger
from chat.reader import courier, reader
from chat.reading import marker
from monitor.processes.local import local_process
from project import demo, installation
from project.asgi import application, login
from project.simulation.companion import Companion
from project.simulation.history import fill
from project.simulation.people import FILLING, people
from project.simulation.site import url_of

RESTARTS = 4012
REASON = _("The server restarts.")


class Command(BaseCommand):
    """Migrates, makes the demo accounts, and serves until SIGTERM or Ctrl-C."""

    help = "Migrate, make the demo accounts on the first start, and serve."

    def handle(self, **options):
        try:
            installation.check_exposure()
            lock = installation.take_lock()
            listener = installation.listen()
        except installation.Refused as refused:
            raise CommandError(str(refused)) from None

        os.environ["SERVER_SOFTWARE"] = settings.SERVER  # for the dashboard
        os.umask(0o077)  # the database has session keys, the journal has messages
        installation.raise_file_limit()
        with installation.one_at_a_time():
            call_command("migrate", verbosity=0, interactive=False)
            password = demo.make_accounts()
            if settings.DEMO:
                fill(people(FILLING))
        if settings.MONITOR_ENABLED:
            self.recover()
        self.introduce(installation.address(listener), password)
        # The threads have connections of their own; this one would only grow old.
        connections.close_all()
        server = import_module(f"project.servers.{settings.SERVER}")
        if settings.DEMO:
            self.serve_with_demo(server, listener)
        else:
            server.run(listener, application, say_goodbye)
        self.finish()
        if lock is not None:
            lock.close()

    def recover(self):
        """Finish what processes that died here had begun, before anybody looks."""
        process = local_process()
        if taken_over := process.recover():
            self.stdout.write(f"Took over from {taken_over} process(es) that died.")
        process.start()

    def serve_with_demo(self, server, listener):
        """Serve while simulated people are there, who go first."""
        companion = Companion(url_of(*listener.getsockname()[:2]))

        async def send_away_and_say_goodbye():
            await asyncio.to_thread(companion.end)
            await say_goodbye()

        try:
            server.run(listener, application, send_away_and_say_goodbye)
        finally:
            companion.end()

    def introduce(self, address, password):
        self.stdout.write(f"Channelscope on {settings.SERVER}: {address}/")
        self.stdout.write(f"Dashboard: {address}/admin/monitor/live/")
        if password:
            self.stdout.write(f"Demo logins, password {password}")
            for name, role in demo.ACCOUNTS.items():
                self.stdout.write(f"  {name:<6} {role}")
        if settings.DEMO:
            self.stdout.write("Demo: simulated people talk until the server stops.")
        if not settings.MONITOR_ENABLED:
            self.stdout.write("Nothing is recorded: MONITOR_ENABLED is false.")
        self.stdout.write("Stop with Ctrl-C.")
        self.stdout.flush()

    def finish(self):
        """Store what waits: messages first, then what was recorded of them."""
        ledger.stop()
        reader.stop()
        courier.stop()
        marker.stop()
        searcher.stop()
        if settings.MONITOR_ENABLED and not local_process().stop():
            # The log has said what waits, and where.
            self.stdout.write("Stopped; the next start stores what waits.")
        else:
            self.stdout.write("Stopped; everything is stored.")


async def say_goodbye():
    """Close every connection with a code that means: come back.

    Then also of those who were past the door, and not known to the monitor yet. How far
    they have read is stored, what was said is by the ledger's end.
    """
    await _close_all()
    await login.settled.wait()
    await _close_all()
    await local_hub().reading.finish()


async def _close_all():
    if settings.MONITOR_ENABLED:
        await local_process().close_all(RESTARTS, REASON)
    else:
        await local_hub().say_goodbye(RESTARTS, REASON)
