import asyncio

import pytest

from chat.eager import start


@pytest.fixture
def done():
    return []


async def test_what_waits_for_nothing_is_done_at_once_and_needs_no_task(done):
    async def work():
        done.append("all")

    assert start(work()) is None
    assert done == ["all"]


async def test_the_rest_goes_on_in_a_task(done):
    arrived = asyncio.get_running_loop().create_future()

    async def work():
        done.append("begun")
        done.append(await arrived)
        await asyncio.sleep(0)
        done.append("ended")

    task = start(work())
    assert done == ["begun"]
    arrived.set_result("arrived")
    await task

    assert done == ["begun", "arrived", "ended"]


@pytest.mark.parametrize("turns", [0, 1])
async def test_a_cancelled_rest_can_clean_up(done, turns):
    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            done.append("cleaned up")

    task = start(work())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()

    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert task.cancelled()
    assert done == ["cleaned up"]


async def test_a_failure_comes_at_once_or_from_the_task():
    async def fail_after(wait):
        await wait
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        start(fail_after(nothing()))
    with pytest.raises(OSError, match="gone"):
        await start(fail_after(asyncio.sleep(0)))


async def nothing():
    pass
