"""`manage.py demo`: rooms full of messages, and people who go on talking."""

import argparse
import asyncio
import math
import signal
import sys
from contextlib import contextmanager, suppress

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from project.simulation.history import fill, open_places
from project.simulation.people import (
    FEWEST,
    FILLING,
    MOST,
    log_in,
    log_out,
    people,
)
from project.simulation.site import Site, Unusable, default_url
from project.simulation.traffic import Traffic, conversations


class Command(BaseCommand):
    """Fills an installation once, then runs simulated people until it is stopped."""

    help = (
        "Fill the rooms with messages, once, and have simulated people talk on the "
        "running server until Ctrl-C."
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--people",
            type=head_count,
            default=12,
            help=f"how many come, from {FEWEST} to {MOST} (12)",
        )
        parser.add_argument(
            "--rate",
            type=positive,
            default=0.5,
            help="messages a second, all together (0.5)",
        )
        parser.add_argument(
            "--minutes", type=positive, help="how long they stay (until Ctrl-C)"
        )
        parser.add_argument(
            "--no-traffic", action="store_true", help="fill only; needs no server"
        )
        parser.add_argument(
            "--url",
            type=address,
            help="where the server is (as `make run` has it: HOST and PORT)",
        )
        # For `manage.py up`: ends when standard input is closed, too.
        parser.add_argument("--tethered", action="store_true", help=argparse.SUPPRESS)

    def handle(self, *, no_traffic, verbosity, **options):
        self.is_quiet = verbosity == 0
        check_installation()
        self.fill()
        if no_traffic:
            return
        try:
            self.talk(**options)
        except Unusable as unusable:
            raise CommandError(str(unusable)) from None

    def fill(self):
        filled = fill(people(FILLING))
        if not filled:
            self.say("Nothing to fill: all rooms have messages already.")
        else:
            rooms = ", ".join(filled)
            self.say(f"Filled with {sum(filled.values())} messages: {rooms}.")

    def talk(self, *, people, rate, minutes, url, tethered, **_):
        site, places = url or Site(default_url()), open_places()
        check_rate(rate, people, len(places))
        with sessions(people) as keys:
            connection.close()  # it would only grow old
            traffic = Traffic(site, keys, places, rate)
            with suppress(asyncio.CancelledError):
                asyncio.run(self.run(traffic, minutes, tethered))
        self.say(f"They are gone, after {traffic.said} messages.")

    async def run(self, traffic, minutes, tethered):
        end_on_signals(tethered)
        await traffic.check()
        count, origin = len(traffic.people), traffic.site.origin
        self.say(f"{count} people talk at {origin}/; Ctrl-C sends them away.")
        await traffic.run(minutes and minutes * 60)

    def say(self, words):
        if not self.is_quiet:
            self.stdout.write(words)
            self.stdout.flush()


def check_installation():
    """Fill nothing that the first start has yet to make."""
    executor = MigrationExecutor(connection)
    targets = executor.loader.graph.leaf_nodes()
    if executor.migration_plan(targets) or not get_user_model().objects.exists():
        raise CommandError(
            "This installation is not ready; start it once with `make run`, which "
            "prepares the database."
        )


def check_rate(rate, count, rooms):
    """Refuse what people could not say without breaking the chat's limit."""
    most = conversations(count, rooms) * settings.CHAT_RATE
    if rate > most:
        raise CommandError(
            f"--rate {rate:g} is too much: with CHAT_RATE={settings.CHAT_RATE:g}, "
            f"{count} people in {rooms} rooms say at most {most:g} messages a second. "
            "Say less, or more --people."
        )


@contextmanager
def sessions(count):
    """Keys of sessions of so many people, by user; ended in the end."""
    users = [user for user in people(count) if user.is_active]
    if len(users) < FEWEST:
        raise CommandError(
            "Too few demo people are active; activate some in the admin."
        )
    with transaction.atomic():  # one commit, not one for each
        keys = {user: log_in(user) for user in users}
    try:
        yield keys
    finally:
        with transaction.atomic():
            for key in keys.values():
                log_out(key)


def end_on_signals(tethered):
    """Have a signal cancel this task; if tethered, also the end of the server."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def end():
        loop.remove_reader(sys.stdin)
        if not task.cancelling():
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    if tethered:
        loop.add_reader(sys.stdin, end)


def head_count(text):
    if text.isdecimal() and FEWEST <= int(text) <= MOST:
        return int(text)
    wanted = f"say a number from {FEWEST} to {MOST}"
    raise argparse.ArgumentTypeError(f"it is {text!r}; {wanted}.")


def positive(text):
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isfinite(number) and number > 0:
        return number
    raise argparse.ArgumentTypeError(f"it is {text!r}; say a number above 0.")


def address(text):
    try:
        return Site(text)
    except ValueError:
        wanted = "say an address such as http://127.0.0.1:8000"
        raise argparse.ArgumentTypeError(f"it is {text!r}; {wanted}.") from None
