"""The face of the monitor: an end in order, for servers that announce theirs."""

from __future__ import annotations

import asyncio
from typing import Any

from .processes.local import end_connections, stop_local_process


async def lifespan(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """ASGI application for the scope `lifespan`: stores what waits at the end.

    Uvicorn runs no `atexit` hook after SIGTERM, but this; daphne knows no lifespan and
    runs the hook. Without either, the next process to start stores what is left.
    """
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    end_connections()  # here, where they are recorded
    await asyncio.to_thread(stop_local_process)
    await send({"type": "lifespan.shutdown.complete"})
