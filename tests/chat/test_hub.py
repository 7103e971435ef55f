import asyncio

import pytest
from channels.layers import get_channel_layer
from django.db import OperationalError
from django.utils import timezone

from chat import hub as module
from chat.hub import Hub, local_hub
from chat.models import Message, Room
from chat.ticks import GROUP, Tick, Ticks

from ..clock import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store_elsewhere(make_user):
    """Store messages as another process would: nobody here is told."""
    author = make_user("elsewhere")

    async def store(*texts):
        room = await Room.objects.aget(slug="lobby")
        for text in texts:
            room.last_seq += 1
            room.last_rev += 1
            await Message.objects.acreate(
                room=room,
                seq=room.last_seq,
                rev=room.last_rev,
                author=author,
                author_name=author.username,
                text=text,
                sent_at=timezone.now(),
            )
        await room.asave()

    return store


async def test_what_another_process_stored_before_comes_before(
    join, store_elsewhere, monkeypatch
):
    monkeypatch.setattr(Hub, "POLL_INTERVAL", 60)
    ana = await join()
    await store_elsewhere("from afar", "and again")

    await ana.say("from here")

    heard = [(await ana.hear())["message"] for _ in range(3)]
    assert heard == ["from afar", "and again", "from here"]


async def test_a_tick_brings_what_another_process_stored(
    join, store_elsewhere, monkeypatch
):
    monkeypatch.setattr(Hub, "POLL_INTERVAL", 60)
    ana = await join()
    await store_elsewhere("from afar")

    await get_channel_layer().group_send(GROUP, {"type": Tick.ROOM})

    assert (await ana.hear())["message"] == "from afar"


async def test_a_tick_says_which_rooms_to_look_at(join, make_user, monkeypatch):
    monkeypatch.setattr(Hub, "POLL_INTERVAL", 60)
    asked = []
    news = Message.objects.news
    monkeypatch.setattr(
        Message.objects, "news", lambda marks, n: asked.append(marks) or news(marks, n)
    )
    other = await Room.objects.acreate(slug="other", name="Other")
    await join("ana")
    await join("bruno", "/ws/chat/other/")
    await until(lambda: local_hub().delivery.task is None)
    asked.clear()

    tick = {"type": Tick.ROOM, "about": [other.pk, 10**6]}
    await get_channel_layer().group_send(GROUP, tick)

    await until(lambda: asked)
    assert asked == [[(other.pk, 0)]]


async def test_a_lost_tick_is_healed_by_the_poll(join, store_elsewhere, monkeypatch):
    monkeypatch.setattr(Hub, "POLL_INTERVAL", 0.05)
    ana = await join()

    await store_elsewhere("from afar")

    assert (await ana.hear())["message"] == "from afar"


async def test_a_doubled_tick_brings_nothing_twice(join, store_elsewhere):
    ana = await join()
    await store_elsewhere("once")

    for _ in range(3):
        await get_channel_layer().group_send(GROUP, {"type": Tick.ROOM})

    assert (await ana.hear())["message"] == "once"
    assert await ana.hears_nothing()


async def test_who_is_about_to_leave_holds_up_nobody(
    join, store_elsewhere, monkeypatch
):
    monkeypatch.setattr(Hub, "PASS", 10)
    ana, _bruno = await join(), await join("bruno")
    [room] = local_hub().rooms.values()
    [leaving] = [member for member in room.members if member.username == "bruno"]
    leaving.dismiss(4403, "go")  # and its consumer has not heard of the end yet

    await store_elsewhere(*map(str, range(50)))
    await get_channel_layer().group_send(GROUP, {"type": Tick.ROOM})

    assert [(await ana.hear())["message"] for _ in range(50)] == [*map(str, range(50))]


async def test_more_than_one_pass_arrives_whole_and_in_order(
    join, store_elsewhere, monkeypatch
):
    monkeypatch.setattr(Hub, "PASS", 10)
    ana = await join()
    await store_elsewhere(*map(str, range(35)))

    local_hub().look(local_hub().rooms)

    heard = [(await ana.hear())["message"] for _ in range(35)]
    assert heard == list(map(str, range(35)))


async def test_many_long_messages_at_once_let_nobody_go(join, store_elsewhere):
    ana = await join()
    await store_elsewhere(*["ñ" * 4000] * 60)

    local_hub().look(local_hub().rooms)

    assert [(await ana.hear())["seq"] for _ in range(60)] == list(range(1, 61))


async def test_a_room_that_is_quiet_says_that_it_lives(join, monkeypatch):
    monkeypatch.setattr(Hub, "HEARTBEAT_INTERVAL", 0.05)
    ana = await join()

    assert await ana.hear("heartbeat") == {"type": "heartbeat"}


async def test_other_processes_are_told_of_a_commit(join):
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(GROUP, channel)
    ana = await join()

    await ana.say("hola")
    await ana.hear()

    async with asyncio.timeout(5):
        tick = await layer.receive(channel)
    lobby = await Room.objects.aget(slug="lobby")
    assert (tick["type"], tick["about"]) == (Tick.ROOM, [lobby.pk])
    await layer.group_discard(GROUP, channel)


async def test_a_channel_layer_that_fails_delays_nobody(join, monkeypatch, caplog):
    monkeypatch.setattr(get_channel_layer(), "group_send", fail)
    monkeypatch.setattr(get_channel_layer(), "group_add", fail)
    ana, bruno = await join("ana"), await join("bruno")

    for number in range(3):
        await ana.say(str(number))

    assert [(await bruno.hear())["message"] for _ in range(3)] == ["0", "1", "2"]
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("Ticks._publish failed") == 1


async def test_a_hub_that_lives_long_joins_its_groups_again(
    join, monkeypatch, settings
):
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    }
    monkeypatch.setattr(Ticks, "REJOIN_INTERVAL", 0.05)
    monkeypatch.setattr(Hub, "POLL_INTERVAL", 60)
    ana = await join()
    layer = get_channel_layer()
    layer.groups.clear()

    await asyncio.sleep(0.2)

    assert len(layer.groups[GROUP]) == 1
    await ana.disconnect()
    await asyncio.sleep(0.01)
    assert GROUP not in layer.groups


async def test_a_question_that_failed_is_asked_again(
    join, store_elsewhere, monkeypatch
):
    monkeypatch.setattr(Hub, "POLL_INTERVAL", 0.05)
    ana = await join()
    with monkeypatch.context() as patched:
        patched.setattr(Message.objects, "news", fail_at_once)
        await store_elsewhere("late")
        await asyncio.sleep(0.2)
        assert await ana.hears_nothing()

    assert (await ana.hear())["message"] == "late"


async def test_members_are_told_only_of_changes(join, monkeypatch):
    now = timezone.now()
    names = [["ana"], ["ana"], ["ana", "bruno"]]
    monkeypatch.setattr(Hub, "ROLL_PAUSE", 0)
    monkeypatch.setattr(
        module.presence,
        "members",
        lambda *_: {"lobby": dict.fromkeys(names.pop(0) if names else [], now)},
    )
    ana = await join()

    heard = [(await ana.hear("members"))["members"]]
    while names:
        local_hub().roll_call.ask()
        await asyncio.sleep(0.05)
    heard.append((await ana.hear("members"))["members"])

    assert heard == [["ana"], ["ana", "bruno"]]


async def fail(*args):
    raise ConnectionError("the layer is away")


def fail_at_once(*args):
    raise OperationalError("the database is away")


async def test_whoever_comes_in_while_the_server_says_goodbye_is_told_too(join):
    await join("ana")
    await local_hub().say_goodbye(4012, "The server restarts.")

    late = await join("bruno")

    assert (await late.hear_farewell())["code"] == 4012
    assert await late.hear_close() == 4012
