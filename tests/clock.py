"""Waiting for what is about to be true."""

import asyncio
import time


async def until(condition, within=10):
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
    """Wait for the product's tasks on this event loop, which end by themselves."""
    await until(lambda: not [task for task in asyncio.all_tasks() if _is_ours(task)])


def _is_ours(task):
    module = task.get_coro().cr_frame and task.get_coro().cr_frame.f_globals["__name__"]
    return (module or "").startswith(("chat.", "monitor."))
