"""Waiting for what is about to be true."""

import asyncio
import time

from monitor.processes import local


async def until(condition, within=20):
    """Wait until `condition()`, which may be a coroutine function, is true.

    Returns what it returned. For facts that another thread or process is bringing
    about, and that nothing announces.
    """
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"not true within {within} s"
        await asyncio.sleep(0.01)


async def until_no_task_is_left():
    """Wait for the product's tasks on this event loop, which end by themselves.

    The writer is stopped first: it would begin another one for its last tick.
    """
    if (process := local._process) is not None:
        await asyncio.to_thread(process.stop)
        await until(lambda: not process.ticker._groups)
    await until(lambda: not [task for task in asyncio.all_tasks() if _is_ours(task)])


def _is_ours(task):
    frame = task.get_coro().cr_frame
    module = frame.f_globals["__name__"] if frame else ""
    return module.startswith(("chat.", "monitor."))
