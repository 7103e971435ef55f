"""The face of the monitor: what a project puts around its websocket application."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from .conf import settings
from .processes.local import local_process
from .recording.recorder import Recorder

logger = logging.getLogger("channelscope.monitor")

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class MonitorMiddleware:
    """ASGI middleware that records every websocket passing through it.

    It changes nothing that the application sees but `scope["monitor"]`, the
    `Recorder` of the connection. With `MONITOR_ENABLED = False` it is a plain
    pass-through.
    """

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "websocket" or not settings.ENABLED:
            return await self.app(scope, receive, send)
        try:
            process = local_process()
        except Exception:
            # Also a monitor that is set up wrong must not fail what it monitors.
            logger.exception("The monitor cannot record; the connection goes on")
            return await self.app(scope, receive, send)

        await Recorder(scope, receive, send, process).run(self.app)


def note_refusal(scope: dict[str, Any], cause: str) -> None:
    """Tell the monitor, if it is there, why this connection is about to be refused.

    `cause` is a few words for staff, such as "foreign origin". Call it before the
    close. It makes the connection's end a `reject`, also if the application accepts
    in order to say why.
    """
    if recorder := scope.get("monitor"):
        recorder.refusing(cause)
