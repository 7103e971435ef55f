"""Who is here, who of them is idle, and who belongs to the room but is away."""

import asyncio
from datetime import datetime, timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.utils import timezone

from chat import roll
from chat.hub import Hub, local_hub
from chat.models import Membership, Room
from chat.ticks import Tick, tick
from monitor.models import Connection

from ..clock import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(Hub, "ROLL_PAUSE", 0.01)
    monkeypatch.setattr(Hub, "ROLL_REST", 0)
    monkeypatch.setattr(Hub, "ROLL_INTERVAL", 0.1)


@pytest.fixture
def soon_idle(monkeypatch):
    monkeypatch.setattr(roll, "IDLE_AFTER", 0.5)


@pytest.fixture
def belong(make_user):
    """Give users a place in a room, as reading there does."""

    def belong(*names, room="lobby", **facts):
        room, _ = Room.objects.get_or_create(slug=room, defaults={"name": room})
        for name in names:
            user = make_user(name)
            Membership.objects.get_or_create(room=room, user=user, defaults=facts)

    return sync_to_async(belong)


async def rolls_until(socket, fits):
    """The rolls that somebody hears, up to the first that fits."""
    heard = [await socket.hear("members")]
    while not fits(heard[-1]):
        heard.append(await socket.hear("members"))
    return heard


async def roll_with(socket, **expected):
    """The first roll of which these facts are true."""
    keys = expected.keys()
    rolls = await rolls_until(socket, lambda it: {k: it[k] for k in keys} == expected)
    return rolls[-1]


async def row_of(name):
    """The connection of a user, once it is recorded."""
    rows = Connection.objects.filter(username=name, accepted_at__isnull=False)
    return await until(rows.afirst)


def away(found):
    return [one["user"] for one in found["away"]]


async def test_who_says_nothing_becomes_idle_and_by_a_word_comes_back(join, soon_idle):
    ana, bruno = await join("ana"), await join("bruno")

    found = (await rolls_until(ana, lambda it: "bruno" in it["idle"]))[-1]

    assert found["members"] == ["ana", "bruno"]
    row = await row_of("bruno")
    assert datetime.fromisoformat(found["idle"]["bruno"]) == row.accepted_at
    await bruno.send_json_to({"type": "active"})
    await rolls_until(
        ana, lambda it: len(it["members"]) == 2 and "bruno" not in it["idle"]
    )
    row = await row_of("bruno")
    assert row.heard_at > row.accepted_at


async def test_what_a_page_says_by_itself_keeps_nobody_from_being_idle(join, soon_idle):
    ana, bruno = await join("ana"), await join("bruno")

    async def read_on():
        while True:
            await bruno.send_json_to({"type": "seen", "rev": 0})
            await bruno.send_json_to({"type": "read", "seq": 1})
            await asyncio.sleep(0.05)

    reading = asyncio.create_task(read_on())
    await rolls_until(ana, lambda it: "bruno" in it["idle"])
    reading.cancel()


async def test_who_has_one_active_tab_is_here_and_counts_once(join, soon_idle):
    _idle_tab, tab, ana = await join("bruno"), await join("bruno"), await join("ana")

    async def go_on():
        while True:
            await tab.send_json_to({"type": "active"})
            await asyncio.sleep(0.05)

    acting = asyncio.create_task(go_on())
    found = await rolls_until(ana, lambda it: list(it["idle"]) == ["ana"])
    assert found[-1]["members"] == ["ana", "bruno"]
    acting.cancel()
    await rolls_until(ana, lambda it: "bruno" in it["idle"])


async def test_who_leaves_is_away_and_was_last_seen_then(join, belong):
    await belong("ana", "bruno", "carla")
    ana, bruno = await join("ana"), await join("bruno")
    found = await roll_with(ana, members=["ana", "bruno"])
    assert found["away"] == [{"user": "carla", "seen_at": None}]
    await row_of("bruno")

    await bruno.disconnect()

    found = (await rolls_until(ana, lambda it: len(it["away"]) == 2))[-1]
    row = await row_of("bruno")
    assert found["members"] == ["ana"]
    assert away(found) == ["bruno", "carla"]
    assert datetime.fromisoformat(found["away"][0]["seen_at"]) == row.closed_at
    await join("bruno")
    assert away(await roll_with(ana, members=["ana", "bruno"])) == ["carla"]


async def test_who_is_in_another_room_is_said_to_be_there(join, belong):
    await belong("ana", "bruno", "carla")
    await belong("bruno", room="design")
    ana, bruno = await join("ana"), await join("bruno", "/ws/chat/design/")

    there = {"user": "bruno", "seen_at": None, "elsewhere": True}
    never = {"user": "carla", "seen_at": None}
    await roll_with(ana, away=[there, never])
    await bruno.disconnect()

    found = (await rolls_until(ana, lambda it: "elsewhere" not in it["away"][0]))[-1]
    row = await row_of("bruno")
    assert datetime.fromisoformat(found["away"][0]["seen_at"]) == row.closed_at


async def test_an_unchanged_roll_is_said_once_and_costs_one_question(
    join, belong, soon_idle, monkeypatch
):
    await belong("ana", "bruno", "carla")
    ana, bruno = await join("ana"), await join("bruno")
    await row_of("bruno")
    await bruno.disconnect()
    await rolls_until(ana, lambda it: "ana" in it["idle"] and len(it["away"]) == 2)
    asked = []
    others = roll.others
    monkeypatch.setattr(roll, "others", lambda here: asked.append(here) or others(here))

    await asyncio.sleep(0.5)

    assert await ana.receive_nothing(timeout=0.1)
    assert not asked


async def test_who_is_invited_is_away_until_they_come(join, belong):
    await belong("ana", room="secret")
    room = await Room.objects.aget(slug="secret")
    ana = await join("ana", "/ws/chat/secret/")
    await roll_with(ana, members=["ana"], away=[])

    await belong("bruno", room="secret")
    place = await Membership.objects.aget(user__username="bruno")
    await sync_to_async(tick)(Tick.MEMBERS, [(room.pk, place.user_id)])

    await roll_with(ana, away=[{"user": "bruno", "seen_at": None}])


async def test_of_many_who_are_away_the_last_seen_are_shown(
    join, belong, make_user, monkeypatch
):
    monkeypatch.setattr(roll, "SHOWN", 3)
    await belong(*(f"user{number}" for number in range(5)), "ana", "gone")
    await get_user_model().objects.filter(username="gone").aupdate(is_active=False)
    ana = await join("ana")
    await roll_with(ana, members=["ana"])
    row = await row_of("ana")
    now = timezone.now()
    for number in (4, 1):
        user = await sync_to_async(make_user)(f"user{number}")
        row.pk, row.user, row.username = None, user, user.username
        row.closed_at = now - timedelta(hours=number)
        await row.asave(force_insert=True)
    local_hub().absentees.invite(local_hub().rooms)

    found = (await rolls_until(ana, lambda it: away(it)[0] == "user1"))[-1]

    assert away(found) == ["user1", "user4", "user0"]


def test_those_who_have_read_furthest_are_looked_up_whoever_is_there(
    make_user, monkeypatch, django_assert_max_num_queries
):
    monkeypatch.setattr(roll, "LOOKED_UP", 3)
    monkeypatch.setattr(roll, "SHOWN", 2)
    rooms = [Room.objects.create(slug=f"r{n}", name=f"r{n}") for n in range(3)]
    for number in range(9):
        user = make_user(f"user{number}")
        for room in rooms:
            Membership.objects.create(room=room, user=user, read_seq=number)
    here = {room.pk: {"user8", "user6"} for room in rooms}

    with django_assert_max_num_queries(3):
        found = roll.others(here)

    for room in rooms:
        one = found[room.pk]
        assert set(one.seen) == {"user7", "user5", "user4", "user3"}
        assert one.is_cut
        assert not one.is_outdated({"user8", "user6", "user7"}, set())
        # Who comes costs nothing until the list runs dry.
        assert one.is_outdated({"user8", "user6", "user7", "user5", "user4"}, set())
        assert one.is_outdated({"user8"}, set())
