"""The list of rooms is kept true over the socket."""

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import OperationalError
from django.utils import timezone

from chat.hub import Hub
from chat.listing import LISTED, Listing
from chat.models import Membership, Mention, MentionQuerySet, Message, Room
from chat.ticks import Tick, tick
from monitor import presence

from ..clock import until

pytestmark = pytest.mark.django_db(transaction=True)

NEVER = {"read": None, "mentions": 0}  # have they been there, or were called


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(Listing, "PAUSE", 0.01)
    monkeypatch.setattr(Listing, "REST", 0)


@pytest.fixture
async def design():
    return await Room.objects.acreate(slug="design", name="Design")


@pytest.fixture
def look(connect):
    """Connect a user to the list; return the socket and the rooms by slug."""

    async def look(user, path="/ws/rooms/"):
        socket = await connect(user, path)
        await socket.send_json_to({"type": "rooms"})
        return socket, await whole(socket)

    return look


async def whole(socket):
    """Wait for a whole list and the marks in it; return its rooms by slug."""
    while not (frame := await socket.hear("rooms"))["whole"]:
        pass
    rooms = {room["room"]: room | NEVER for room in frame["rooms"]}
    while not (frame := await socket.hear("marks"))["whole"]:
        pass
    for mark in frame["marks"]:
        rooms[mark["room"]] |= mark
    return rooms


async def hear_of(socket, slug, **facts):
    """Wait until the list says something of a room."""
    while True:
        for room in (await socket.hear("rooms"))["rooms"]:
            if room["room"] == slug and facts.items() <= room.items():
                return room


async def marked(socket, slug):
    """Wait for the next mark of a room."""
    while True:
        for mark in (await socket.hear("marks"))["marks"]:
            if mark["room"] == slug:
                return mark


async def test_who_looks_at_the_list_sees_what_is_said_in_any_room(join, look, design):
    ana, rooms = await look("ana")
    assert rooms["design"]["last"] is None

    bruno = await join("bruno", "/ws/chat/design/")
    await bruno.say("hola")

    room = await hear_of(ana, "design", seq=1)
    assert (room["last"]["user"], room["last"]["text"]) == ("bruno", "hola")
    assert (room["name"], room["kind"], room["archived"]) == ("Design", "open", False)


async def test_a_room_has_the_list_too(join, look, design):
    ana, _ = await look("ana", "/ws/chat/")
    bruno = await join("bruno", "/ws/chat/design/")

    await bruno.say("hola")

    assert (await hear_of(ana, "design", seq=1))["last"]["text"] == "hola"


async def test_the_list_says_who_is_in_a_room(join, look, design, monkeypatch):
    monkeypatch.setattr(Hub, "ROLL_PAUSE", 0.01)
    monkeypatch.setattr(Hub, "ROLL_INTERVAL", 0.05)
    here = {}
    monkeypatch.setattr(presence, "members", lambda *_: dict(here))
    ana, _ = await look("ana")

    names = [f"user{number}" for number in range(7)]
    here["design"] = dict.fromkeys(names, timezone.now())

    room = await hear_of(ana, "design", here_count=7)
    assert room["here"] == [f"user{number}" for number in range(5)]


async def test_reading_moves_the_mark_of_all_tabs_forward_only(join, look, lobby_with):
    await lobby_with(3)
    ana, bruno = await join("ana"), await join("bruno")
    other_tab, rooms = await look("ana")
    assert rooms["lobby"]["read"] is None

    await ana.send_json_to({"type": "read", "seq": 2})
    assert (await marked(other_tab, "lobby"))["read"] == 2
    await ana.send_json_to({"type": "read", "seq": 1})
    await ana.send_json_to({"type": "read", "seq": 3})

    assert (await marked(other_tab, "lobby"))["read"] == 3
    assert (await look("ana"))[1]["lobby"]["read"] == 3
    assert (await look("bruno"))[1]["lobby"]["read"] is None
    assert await bruno.hears_nothing()


async def test_nobody_reads_what_was_not_said(join, look, lobby_with):
    await lobby_with(3)
    ana = await join("ana")
    other_tab, _ = await look("ana")

    await ana.send_json_to({"type": "read", "seq": 10**9})

    assert (await marked(other_tab, "lobby"))["read"] is None


async def test_what_many_have_read_is_stored_together(lobby_with, design, make_user):
    await lobby_with(3)
    await Room.objects.filter(slug="design").aupdate(last_seq=5)
    lobby = await Room.objects.aget(slug="lobby")
    names = ("ana", "bruno", "carla")
    ana, bruno, carla = [await sync_to_async(make_user)(name) for name in names]
    calls = [(lobby, ana, 2), (lobby, bruno, 1), (design, bruno, 4), (lobby, carla, 3)]
    for room, user, seq in calls:
        await Mention.objects.acreate(room=room, user=user, seq=seq)
    await Membership.objects.acreate(room=design, user=bruno, read_seq=3)
    await Membership.objects.acreate(room=lobby, user=ana, read_seq=3)

    await sync_to_async(Membership.objects.read)(
        {
            (lobby.pk, ana.pk): 2,  # a mark only goes forward
            (lobby.pk, bruno.pk): 3,
            (design.pk, ana.pk): 6,  # was not said yet
            (lobby.pk, carla.pk): 4,  # nor this
            (design.pk, bruno.pk): 5,
        }
    )

    rows = Membership.objects.values_list("room__slug", "user__username", "read_seq")
    assert {row async for row in rows} == {
        ("lobby", "ana", 3),
        ("lobby", "bruno", 3),
        ("design", "bruno", 5),
    }
    assert [mention.user_id async for mention in Mention.objects.all()] == [carla.pk]


async def test_a_mention_counts_until_it_is_read(join, look, make_user):
    await sync_to_async(make_user)("carla.m")
    ana, bruno = await join("ana"), await join("bruno")
    list_of_ana, _ = await look("ana")
    list_of_carla, _ = await look("carla.m")

    await bruno.say("ana@example.org is no call; @ana, and @carla.m. are, @bruno not")

    assert (await marked(list_of_ana, "lobby"))["mentions"] == 1
    assert (await marked(list_of_carla, "lobby"))["mentions"] == 1
    assert await Mention.objects.acount() == 2
    await ana.send_json_to({"type": "read", "seq": 1})
    assert await marked(list_of_ana, "lobby") == {
        "room": "lobby",
        "read": 1,
        "mentions": 0,
    }
    assert (await look("carla.m"))[1]["lobby"]["mentions"] == 1


async def test_of_a_text_full_of_names_the_first_are_looked_up(join, make_user):
    for name in ("ana", "carla"):
        await sync_to_async(make_user)(name)
    names = [f"@n{number}" for number in range(2 * MentionQuerySet.NAMED)]
    bruno = await join("bruno")

    await bruno.say(" ".join([*names[:150], "@ana", *names[150:], "@carla"]))

    await bruno.hear("message")
    called = [m.user.username async for m in Mention.objects.select_related("user")]
    assert called == ["ana"]


async def test_an_edit_calls_others_and_a_deletion_nobody(join, look, make_user):
    await sync_to_async(make_user)("carla")
    list_of_ana, _ = await look("ana")
    bruno = await join("bruno")
    await bruno.say("@ana look")
    assert (await marked(list_of_ana, "lobby"))["mentions"] == 1

    await bruno.send_json_to({"type": "edit", "seq": 1, "message": "@carla look"})
    await bruno.hear("done")
    called = [
        mention.user.username
        async for mention in Mention.objects.select_related("user")
    ]
    assert called == ["carla"]
    assert (await marked(list_of_ana, "lobby"))["mentions"] == 0

    await bruno.send_json_to({"type": "delete", "seq": 1})
    await bruno.hear("done")
    assert not await Mention.objects.aexists()


async def test_an_edit_of_what_is_read_calls_nobody_back(join):
    ana, bruno = await join("ana"), await join("bruno")
    await bruno.say("look")
    await ana.hear("message")
    await ana.send_json_to({"type": "read", "seq": 1})
    await until(Membership.objects.filter(read_seq=1).aexists)

    await bruno.send_json_to({"type": "edit", "seq": 1, "message": "@ana look"})
    await bruno.hear("done")

    assert not await Mention.objects.aexists()


@pytest.mark.parametrize("kind", Room.Kind.values)
async def test_a_lost_tick_is_healed_by_looking_again(
    look, design, make_user, monkeypatch, kind
):
    monkeypatch.setattr(Hub, "ROLL_INTERVAL", 0.05)
    user = await sync_to_async(make_user)("ana")
    await Room.objects.filter(slug="design").aupdate(kind=kind)
    await Membership.objects.acreate(room=design, user=user)
    ana, _ = await look("ana")

    await Room.objects.filter(slug="design").aupdate(name="Elsewhere")
    await hear_of(ana, "design", name="Elsewhere")

    await Room.objects.filter(slug="design").adelete()
    while "design" in await whole(ana):
        pass


async def test_a_lost_tick_of_a_mark_is_healed_after_a_while_whoever_goes(
    look, design, monkeypatch
):
    monkeypatch.setattr(Hub, "ROLL_INTERVAL", 0.05)
    monkeypatch.setattr(Listing, "MARKS_LAST", 0.5)
    gone, *users = [(await look(name))[0] for name in ("carla", "ana", "bruno")]
    await gone.disconnect()

    for user in await sync_to_async(list)(get_user_model().objects.all()):
        await Membership.objects.acreate(room=design, user=user, read_seq=3)

    for socket in users:
        assert (await marked(socket, "design"))["read"] == 3


async def test_a_lost_tick_keeps_no_room_from_who_is_invited_or_in_the_list_of_others(
    look, design, make_user, monkeypatch
):
    monkeypatch.setattr(Hub, "ROLL_INTERVAL", 0.05)
    await Room.objects.filter(slug="design").aupdate(kind=Room.Kind.PRIVATE)
    ana, bruno = [await sync_to_async(make_user)(name) for name in ("ana", "bruno")]
    await Membership.objects.acreate(room=design, user=bruno)
    (list_of_ana, _), (list_of_bruno, _) = await look("ana"), await look("bruno")

    await Membership.objects.acreate(room=design, user=ana)
    while "design" not in await whole(list_of_ana):
        pass

    await Membership.objects.filter(user=bruno).adelete()
    while "design" in await whole(list_of_bruno):
        pass


async def test_of_rooms_that_are_in_no_list_nothing_is_heard(look, design):
    slugs = [f"room-{number:03}" for number in range(2 * LISTED)]
    await Room.objects.abulk_create(Room(slug=slug, name=slug) for slug in slugs)
    ana, rooms = await look("ana")
    assert len(rooms) == LISTED

    ids = [pk async for pk in Room.objects.values_list("pk", flat=True)]
    await sync_to_async(tick)(Tick.ROOM, ids)
    changed = (await ana.hear("rooms"))["rooms"]
    assert {room["room"] for room in changed} == rooms.keys()

    await Room.objects.filter(slug="design").aupdate(archived_at=timezone.now())
    await sync_to_async(tick)(Tick.ROOM, [design.pk])
    await hear_of(ana, "design", archived=True)  # it leaves the list


async def test_a_database_that_was_away_is_asked_for_everything_again(
    join, look, design, monkeypatch
):
    monkeypatch.setattr(Hub, "ROLL_INTERVAL", 0.05)
    ana, _ = await look("ana")
    bruno = await join("bruno", "/ws/chat/design/")
    asked = []

    def is_away(wanted):
        asked.append(wanted)
        raise OperationalError("away")

    with monkeypatch.context() as patch:
        patch.setattr("chat.listing.entries", is_away)
        await bruno.say("hola")
        await until(lambda: asked)

    while (await whole(ana))["design"]["seq"] != 1:
        pass


async def test_the_deleted_last_message_of_a_room_shows_no_text(join, look):
    ana, bruno = await look("ana")
    bruno = await join("bruno")
    await bruno.say("a secret")
    await hear_of(ana, "lobby", seq=1)

    await bruno.send_json_to({"type": "delete", "seq": 1})

    while (await hear_of(ana, "lobby", seq=1))["last"]["text"]:
        pass  # what was said of it before may come twice
    assert await Message.objects.filter(text="").acount() == 1


async def test_the_list_takes_no_messages(look):
    ana, _ = await look("ana")

    await ana.say("hola")

    while (frame := await ana.receive_json_from())["type"] != "error":
        pass
    assert (frame["code"], frame["detail"]) == (
        "unknown-type",
        "Types are rooms and whoami.",
    )
