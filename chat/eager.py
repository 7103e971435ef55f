"""Coroutines that begin at once, as the eager tasks of Python 3.12 do."""

import asyncio
import types


def start(coroutine):
    """Run a coroutine until it waits for something; return a task for its rest.

    None if nothing is left. Most frames are sent without any waiting, and a task for
    each would be for nothing. What is done at once is done in the caller's context
    and task, so it is not for a coroutine that begins with a timeout.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return None
    task = asyncio.create_task(_go_on(coroutine, awaited))
    # A task that is cancelled before it began has not told the coroutine.
    task.add_done_callback(lambda _: coroutine.close())
    return task


async def _go_on(coroutine, awaited):
    await _rest(coroutine, awaited)


@types.coroutine
def _rest(coroutine, awaited):
    try:
        while True:
            try:
                result = yield awaited
            except BaseException as error:
                awaited = coroutine.throw(error)
            else:
                awaited = coroutine.send(result)
    except StopIteration:
        return
