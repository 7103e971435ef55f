"""Others see that somebody writes, wherever they are connected."""

import asyncio

import pytest
from channels.layers import get_channel_layer

from chat import consumers
from chat.models import Room
from chat.ticks import GROUP, Tick

pytestmark = pytest.mark.django_db(transaction=True)


async def kinds_before(socket, text):
    """The frames that came before a message."""
    kinds = []
    while (frame := await socket.receive_json_from(timeout=5)).get("message") != text:
        kinds.append(frame["type"])
    return kinds


async def test_the_others_in_the_room_hear_of_it_and_the_writer_does_not(join):
    await Room.objects.acreate(slug="design", name="Design")
    ana, tab, bruno = await join("ana"), await join("ana"), await join("bruno")
    design = await join("bruno", "/ws/chat/design/")

    await ana.send_json_to({"type": "typing"})
    assert await bruno.hear("typing") == {"type": "typing", "user": "ana"}

    await ana.say("done")
    await design.say("here")
    assert "typing" not in await kinds_before(ana, "done")
    assert "typing" not in await kinds_before(tab, "done")
    assert "typing" not in await kinds_before(design, "here")


async def test_signs_that_come_too_soon_are_left_out(join, monkeypatch):
    monkeypatch.setattr(consumers, "TYPING_PAUSE", 60)
    ana, bruno = await join("ana"), await join("bruno")

    for _ in range(3):
        await ana.send_json_to({"type": "typing"})
    await ana.say("done")

    assert (await kinds_before(bruno, "done")).count("typing") == 1
    await ana.send_json_to({"type": "typing"})  # of the next message
    assert await bruno.hear("typing")


async def test_another_process_tells_who_writes_there(join):
    ana = await join("ana")
    lobby = await Room.objects.aget(slug="lobby")

    about = [[lobby.pk, "bruno"], [10**6, "carla"]]
    tick = {"type": Tick.TYPING, "sender": "elsewhere", "about": about}
    heard = asyncio.create_task(ana.hear("typing"))
    while not heard.done():  # one may come before it listens
        await get_channel_layer().group_send(GROUP, tick)
        await asyncio.sleep(0.05)

    assert (await heard)["user"] == "bruno"
