"""Coroutines that begin at once, as the eager tasks of Python 3.12 do."""

import asyncio
import types


def start(coroutine):
    """Run a coroutine until it waits for something; return a task for its rest.

    None if nothing is left. Most frames are sent without any waiting, and then a task
    costs more than the sending.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return None
    return asyncio.create_task(_go_on(coroutine, awaited))


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
