"""Whoever listens to the channel layer leaves nothing behind in Redis."""

import asyncio

import pytest
import redis as redis_client
from channels.layers import InMemoryChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

from monitor import channel as module
from monitor.channel import channel_of

from ..clock import until


@pytest.fixture
async def layer(shared_redis):
    """A channel layer of the test's own."""
    layer = RedisPubSubChannelLayer(hosts=[shared_redis.url])
    yield layer
    await layer.flush()


@pytest.fixture
def channels(shared_redis):
    """A function that tells to what anybody is subscribed."""
    with redis_client.Redis.from_url(shared_redis.url) as client:
        yield lambda: set(client.pubsub_channels())


async def test_a_group_that_cannot_be_joined_leaves_no_channel_behind(
    layer, channels, monkeypatch
):
    before = channels()

    async def lost(group, channel):
        assert channels() > before
        raise ConnectionError

    monkeypatch.setattr(layer, "group_add", lost)
    with pytest.raises(ConnectionError):
        async with channel_of(layer, ["a-group"]):
            pass

    await until(lambda: channels() == before)


async def test_whoever_leaves_with_something_unheard_leaves_no_channel_behind(
    layer, channels
):
    before = channels()
    async with channel_of(layer, ["a-group"]) as channel:
        for number in range(3):
            await layer.group_send("a-group", {"type": "tick", "number": number})
        assert (await layer.receive(channel))["number"] == 0

    await until(lambda: channels() == before)


async def test_whoever_is_cancelled_while_waiting_leaves_no_channel_behind(
    layer, channels
):
    before = channels()

    async def listen():
        async with channel_of(layer, ["a-group"]) as channel:
            await layer.receive(channel)

    task = asyncio.create_task(listen())
    await until(lambda: len(channels() - before) == 2)
    task.cancel()

    await until(lambda: channels() == before)
    assert task.cancelled()


@pytest.mark.parametrize("times", [1, 2])
async def test_whoever_is_cancelled_while_joining_leaves_no_channel_behind(
    layer, channels, times
):
    before = channels()

    async def listen():
        async with channel_of(layer, ["a-group", "another"]) as channel:
            await layer.receive(channel)

    for number in range(40):
        task = asyncio.create_task(listen())
        await asyncio.sleep(number / 20_000)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([task])
        assert task.cancelled()
        await until(lambda: channels() == before)
        if number % 4 == 0:
            await layer.flush()  # it connects anew


async def test_whoever_is_cancelled_while_leaving_leaves_no_channel_behind(
    layer, channels, monkeypatch
):
    before = channels()
    leaving, discard = asyncio.Event(), layer.group_discard

    async def slow(group, channel):
        leaving.set()
        await asyncio.sleep(0.01)
        await discard(group, channel)

    async def listen():
        async with channel_of(layer, ["a-group", "another"]):
            pass

    monkeypatch.setattr(layer, "group_discard", slow)
    task = asyncio.create_task(listen())
    await leaving.wait()
    task.cancel()

    await until(lambda: channels() == before)
    assert task.cancelled()


async def test_in_memory_nothing_stays_behind_either():
    layer = InMemoryChannelLayer()
    async with channel_of(layer, ["a-group"]) as channel:
        for number in range(3):
            await layer.group_send("a-group", {"type": "tick", "number": number})
        assert (await layer.receive(channel))["number"] == 0

    assert not layer.channels
    assert not layer.groups


async def test_a_layer_that_hangs_holds_nobody_up(layer, monkeypatch):
    async def hang(group, channel):
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "LEAVE_WITHIN", 0.05)
    monkeypatch.setattr(layer, "group_discard", hang)

    async with asyncio.timeout(10), channel_of(layer, ["a-group"]) as channel:
        pass

    assert channel not in layer.channels


async def test_a_layer_that_cannot_give_back_holds_nobody_up(layer, monkeypatch):
    async def lost(channel):
        raise ConnectionError

    async with channel_of(layer, ["a-group"]) as channel:
        monkeypatch.setattr(layer, "receive", lost)

    assert channel in layer.channels
