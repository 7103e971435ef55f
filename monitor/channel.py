"""A channel of the layer that hears groups, and is given back whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any

LEAVE_WITHIN = 2.0  # seconds


@contextlib.asynccontextmanager
async def channel_of(layer: Any, groups: Iterable[str]) -> AsyncIterator[str]:
    """Yield the name of a new channel that is in `groups`. Raises what the layer
    raises, for example because it is away."""
    channels: list[str] = []  # one, once there is one

    async def join() -> None:
        channels.append(await layer.new_channel())
        for group in groups:
            await layer.group_add(group, channels[0])

    async def leave() -> None:
        for channel in channels:
            # A layer that hangs must not hold up the end of a server.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_WITHIN):
                    for group in groups:
                        # One that fails must not keep it in the others.
                        with contextlib.suppress(Exception):
                            await layer.group_discard(group, channel)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_WITHIN):
                    await _give_back(layer, channel)

    try:
        await _undisturbed(join())
        yield channels[0]
    finally:
        await _undisturbed(leave())


async def _undisturbed(work: Coroutine[Any, Any, None]) -> None:
    """Go on to the end when cancelled, and only then obey.

    redis-py that is cancelled while it subscribes does not know that it has.
    """
    task = asyncio.ensure_future(work)
    cancelled = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # nobody else asks
    raise cancelled


async def _give_back(layer: Any, channel: str) -> None:
    """Have the layer forget a channel, by whose queue it would grow.

    There is no call for that: layers do so when a `receive` is cancelled. Often one
    was, by whatever ended the listening; another one would subscribe anew.
    """
    # Whatever it raises, it has forgotten it or never will.
    with contextlib.suppress(Exception):
        while channel in getattr(layer, "channels", ()):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0):
                    await layer.receive(channel)
