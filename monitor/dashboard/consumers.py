"""Pushes the dashboard to staff."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from channels.db import DatabaseSyncToAsync
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _

from monitor.conf import settings
from monitor.middleware import note_refusal
from monitor.origin import is_own_origin
from monitor.processes.subscription import Subscription
from monitor.processes.ticks import GROUP
from monitor.scope import authenticated_user

from . import feed
from .board import Board, sections
from .rows import Row
from .viewer import Viewer, present_user

logger = logging.getLogger("channelscope.monitor")

SIGNED_OUT, FORBIDDEN, BAD_DATA, OUR_ERROR = 4401, 4403, 4400, 4500
MOST_ROWS = 2000  # that a page may say it has

# Not the thread that every consumer of the process shares for its queries: a slow
# look at the dashboard must not delay a chat.
_executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="monitor-dashboard")


async def in_thread(function: Any, *args: Any) -> Any:
    """Run a function that asks the database, in the dashboards' own thread."""
    run = DatabaseSyncToAsync(function, thread_sensitive=False, executor=_executor)
    return await run(*args)


class DashboardConsumer(AsyncWebsocketConsumer):
    """The dashboard's socket, for staff with the right to view connections.

    The page says what it has (`{"have": {section: [row ids]}}`), and is then brought
    up to date after every tick, or after `MONITOR_PULSE_INTERVAL` without one.
    `"paused": bool`, beside it or alone, stops the feed and lets it go on.
    """

    monitor_frames = False  # no watching the watcher

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one socket: without a channel of its own, for the layer may be away,
        and without Channels' hop to the shared database thread."""
        self.scope = scope
        self.base_send = send
        self.paused = False
        self.pushing: asyncio.Task[None] | None = None
        self.subscription: Subscription | None = None
        try:
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            pass
        finally:
            # disconnect() is not called on every end.
            self.stop_pushing()

    async def dispatch(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "websocket.connect":
                await self.connect()
            case "websocket.receive":
                await self.receive(message.get("text"))
            case "websocket.disconnect":
                raise StopConsumer

    # Handlers ------------------------------------------------------------------------

    async def connect(self) -> None:
        if not is_own_origin(self.scope):
            return await self.refuse("foreign origin")
        user = authenticated_user(self.scope)
        if user is None:
            return await self.refuse("no right to view connections")
        self.viewer = await in_thread(Viewer.of, user)
        if not self.viewer.may_enter:
            return await self.refuse("no right to view connections")

        self.board: Board | None = None
        self.ticked = asyncio.Event()
        self.checked_at = time.monotonic()
        await self.accept()
        self.subscription = Subscription(GROUP, self.ticked.set)
        self.subscription.start()
        self.pushing = asyncio.create_task(self.push_until_closed())

    async def refuse(self, cause: str) -> None:
        note_refusal(self.scope, cause)
        await self.close()

    async def receive(self, text: str | None) -> None:
        command = _command(text)
        # At once: what is paused must stand still while the rights are looked up.
        self.paused = command.get("paused", self.paused)
        if self.pushing is None or not await self.is_still_allowed():
            return
        if not command:
            return await self.bid_farewell(BAD_DATA, _("Unknown command."))
        if "have" in command:
            self.board = Board(command["have"])
        self.ticked.set()

    # Pushing -------------------------------------------------------------------------

    async def push_until_closed(self) -> None:
        """Bring the page up to date whenever there may be something new."""
        try:
            while await self.is_still_allowed(within=settings.PERMISSION_INTERVAL):
                await self.push()
                await self.wait_for_tick()
        except Exception:
            # Nobody awaits this task; the page reconnects after 4500 and starts anew.
            logger.exception("A dashboard could not be brought up to date")
            with contextlib.suppress(Exception):
                await self.close(code=OUR_ERROR)

    async def push(self) -> None:
        """Send what the page does not show yet, and a sign of life."""
        messages = []
        if self.board is not None:
            fresh = await in_thread(self.look)
            messages = await in_thread(self.board.update, fresh)
        for message in [*messages, _pulse()]:
            await self.send(text_data=message)

    def look(self) -> dict[str, list[Row]]:
        """The rows of all sections that are not paused. Asks the database."""
        fresh = sections(self.viewer)
        if self.paused:
            fresh.pop(feed.NAME, None)
        return fresh

    async def wait_for_tick(self) -> None:
        try:
            async with asyncio.timeout(settings.PULSE_INTERVAL):
                await self.ticked.wait()
        except TimeoutError:
            pass
        self.ticked.clear()

    # Rights --------------------------------------------------------------------------

    async def is_still_allowed(self, within: float = 0) -> bool:
        """Ask again, if the last time was `within` seconds or longer ago.

        Closes the socket if the user has signed out or may no longer look.
        """
        if time.monotonic() - self.checked_at < within:
            return True
        self.checked_at = time.monotonic()
        user = await in_thread(present_user, self.scope)
        if user is None:
            await self.bid_farewell(SIGNED_OUT, _("You have signed out."))
            return False
        self.viewer = await in_thread(Viewer.of, user)
        if not self.viewer.may_enter:
            await self.bid_farewell(
                FORBIDDEN, _("You no longer have the right to view connections.")
            )
            return False
        return True

    async def bid_farewell(self, code: int, reason: str) -> None:
        self.stop_pushing()
        await self.send(text_data=self.monitor_farewell(code, reason, self.scope))
        await self.close(code=code, reason=reason)

    def stop_pushing(self) -> None:
        """Send nothing more by itself."""
        if self.subscription is not None:
            self.subscription.stop()
        if self.pushing is not None and self.pushing is not asyncio.current_task():
            self.pushing.cancel()
        self.pushing = None

    @staticmethod
    def monitor_farewell(code: int, reason: str, scope: dict[str, Any]) -> str:
        """The fragment that tells the reader why there will be no more news."""
        context = {"code": code, "reason": reason}
        return render_to_string("monitor/_farewell.html", context)


def _command(text: str | None) -> dict[str, Any]:
    """Read what the page says; {} if it makes no sense."""
    try:
        command = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    match command:
        case {"have": dict(have), "paused": bool(paused)} if _are_rows(have):
            return {"have": have, "paused": paused}
        case {"have": dict(have)} if _are_rows(have):
            return {"have": have}
        case {"paused": bool(paused)}:
            return {"paused": paused}
    return {}


def _are_rows(have: dict[str, Any]) -> bool:
    return all(
        isinstance(rows, list)
        and len(rows) <= MOST_ROWS
        and all(isinstance(row_id, str) for row_id in rows)
        for rows in have.values()
    )


def _pulse() -> str:
    return render_to_string("monitor/_pulse.html", {"now": timezone.now()})
