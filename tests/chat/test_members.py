"""Private rooms are for their members, direct ones for two; nobody else gets in."""

import asyncio
import json
import threading

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.test import Client

from chat.codes import CloseCode
from chat.hub import REMOVED, Hub
from chat.ledger import NotAMember, ledger
from chat.listing import Listing
from chat.models import Membership, MembershipQuerySet, Mention, Message, Room

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/ws/chat/secret/"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(Listing, "PAUSE", 0.01)
    monkeypatch.setattr(Listing, "REST", 0)


@pytest.fixture
def secret(make_user):
    """A private room that ana made, with bruno in it; carla is not."""
    for name in ("ana", "bruno", "carla"):
        make_user(name)
    make_user("olga", is_staff=True)
    post("/rooms/", "ana", name="Secret", is_private="on")
    Room.objects.filter(name="Secret").update(slug="secret")  # nobody could guess it
    do("invite", "ana", user="bruno")
    return Room.objects.get(slug="secret")


def conversation(name, other):
    """Open the conversation of two users; return its address."""
    return post("/direct/", name, user=other).url.removesuffix("#message")


def client_of(name):
    client = Client()
    client.force_login(get_user_model().objects.get(username=name))
    return client


def post(address, name, /, **fields):
    return client_of(name).post(address, fields)


def do(what, name, /, **fields):
    """Do something with the private room, as a user."""
    return post("/rooms/secret/settings/", name, do=what, **fields)


def members():
    return [user.username for user in Room.objects.get(slug="secret").members()]


post_async, do_async = sync_to_async(post), sync_to_async(do)


async def test_a_private_room_is_there_for_its_members_only(connect, join, secret):
    bruno = await join("bruno", PATH)
    await bruno.say("between us")
    await bruno.hear("message")

    for stranger in ("carla", "olga"):
        farewell = await (await connect(stranger, PATH)).hear_farewell()
        assert farewell["code"] == CloseCode.NO_SUCH_ROOM
        client = await sync_to_async(client_of)(stranger)
        get = sync_to_async(client.get)
        assert (await get("/rooms/secret/")).status_code == 404
        assert (await get("/rooms/secret/?members")).status_code == 404
        assert "ecret" not in (await get("/rooms/")).text
        assert (await do_async("rename", stranger, name="Mine")).status_code == 404
    history = await (await connect("ana", PATH)).hear("history")
    assert [message["text"] for message in history["messages"]] == ["between us"]


async def test_the_list_of_strangers_does_not_hear_of_a_private_room(
    connect, join, secret
):
    lists = {}
    for name in ("ana", "carla"):
        lists[name] = await connect(name, "/ws/rooms/")
        await lists[name].send_json_to({"type": "rooms"})
        await lists[name].hear("rooms")
    bruno, in_lobby = await join("bruno", PATH), await join("bruno")

    await bruno.say("between us, @carla")
    await bruno.hear("message")
    await in_lobby.say("to all")

    told = {}
    for name, socket in lists.items():
        told[name] = ""
        while "to all" not in told[name]:
            told[name] += await socket.receive_from(timeout=5)
    assert "between us" in told["ana"]
    assert "ecret" not in told["carla"]
    assert not await Mention.objects.aexists()


async def test_who_is_removed_is_out_at_once(join, connect, secret, monkeypatch):
    monkeypatch.setattr(Hub, "POLL_INTERVAL", 60)
    bruno, ana = await join("bruno", PATH), await join("ana", PATH)
    tab = await connect("bruno", "/ws/rooms/")
    await tab.send_json_to({"type": "rooms"})
    rooms = (await tab.hear("rooms"))["rooms"]
    assert "secret" in [room["room"] for room in rooms]

    await do_async("remove", "ana", member="bruno")

    farewell = await bruno.hear_farewell()
    assert (farewell["code"], farewell["reason"]) == (CloseCode.NO_SUCH_ROOM, REMOVED)
    assert await bruno.hear_close() == CloseCode.NO_SUCH_ROOM
    while not (frame := await tab.hear("rooms"))["whole"]:
        pass
    assert "secret" not in [room["room"] for room in frame["rooms"]]
    await ana.say("alone again")
    assert (await ana.hear("message"))["seq"] == 1


async def test_a_lost_tick_keeps_nobody_in(join, secret, monkeypatch):
    monkeypatch.setattr(Hub, "POLL_INTERVAL", 0.05)
    bruno = await join("bruno", PATH)

    await Membership.objects.filter(user__username="bruno").adelete()

    assert (await bruno.hear_farewell())["reason"] == REMOVED


def test_that_a_private_room_is_there_cannot_be_found_out(secret):
    Room.objects.filter(slug="secret").update(slug="secret-1f2e3d4c")

    for _ in range(2):
        address = post("/rooms/", "carla", name="Secret", is_private="on").url
        assert client_of("carla").get(address).status_code == 200
    assert post("/rooms/", "carla", name="Secret").url == "/rooms/secret/"


async def test_who_joins_while_places_are_checked_stays(join, secret, monkeypatch):
    asked, answer = threading.Event(), threading.Event()
    of = MembershipQuerySet.of

    def slow(places, pairs):
        if threading.current_thread().name.startswith("chat-courier"):
            asked.set()
            assert answer.wait(5)
        return of(places, pairs)

    monkeypatch.setattr(MembershipQuerySet, "of", slow)
    await join("ana", PATH)
    await asyncio.to_thread(asked.wait, 5)

    bruno = await join("bruno", PATH)
    answer.set()

    await bruno.say("still here")
    assert (await bruno.hear("message"))["seq"] == 1
    assert await bruno.hears_nothing()


@pytest.mark.parametrize(
    "question",
    [
        {"type": "history", "before": 2},
        {"type": "search", "text": "secret"},
        {"type": "resume", "after": 0},
    ],
)
async def test_who_was_removed_and_not_told_yet_reads_nothing(
    join, secret, monkeypatch, question
):
    monkeypatch.setattr(Hub, "POLL_INTERVAL", 60)
    ana, bruno = await join("ana", PATH), await join("bruno", PATH)
    await ana.say("a secret")
    await bruno.hear("message")
    await Membership.objects.filter(user__username="bruno").adelete()

    await bruno.send_json_to(question)

    while (frame := await bruno.receive_json_from(timeout=5))["type"] != "bye":
        assert "secret" not in json.dumps(frame.get("messages", ""))
    assert frame["reason"] == REMOVED


async def test_who_is_no_member_any_more_writes_nothing(join, secret, monkeypatch):
    monkeypatch.setattr(Hub, "POLL_INTERVAL", 60)
    bruno = await join("bruno", PATH)
    user = await get_user_model().objects.aget(username="bruno")
    await bruno.say("mine")
    await bruno.hear("message")
    await Membership.objects.filter(user=user).adelete()

    with pytest.raises(NotAMember):
        await ledger.edit(secret.pk, user, 1, "changed")
    await bruno.say("too late")

    assert (await bruno.hear_farewell())["reason"] == REMOVED
    assert [m.text async for m in Message.objects.all()] == ["mine"]


async def test_a_late_mark_of_who_was_removed_does_not_let_them_in_again(secret):
    user = await get_user_model().objects.aget(username="bruno")
    await sync_to_async(Membership.objects.let_go)(secret, user.pk)

    await sync_to_async(Membership.objects.read)({(secret.pk, user.pk): 0})

    assert not await Membership.objects.filter(user=user).aexists()


async def test_who_is_invited_hears_of_the_room(connect, secret):
    carla = await connect("carla", "/ws/rooms/")
    await carla.send_json_to({"type": "rooms"})
    await carla.hear("rooms")

    await do_async("invite", "ana", user="carla")

    while "secret" not in [
        room["room"] for room in (await carla.hear("rooms"))["rooms"]
    ]:
        pass
    await (await connect("carla", PATH)).hear("history")


def test_members_are_invited_and_removed_by_those_who_run_the_room(secret):
    assert do("invite", "bruno", user="carla").status_code == 403
    assert do("remove", "bruno", member="ana").status_code == 403
    assert members() == ["ana", "bruno"]

    do("invite", "ana", user="olga")
    do("invite", "olga", user="carla")  # staff, once they are members

    assert members() == ["ana", "bruno", "carla", "olga"]


def test_a_member_may_leave_and_who_removes_themselves_does_so(secret):
    assert do("leave", "bruno").url == "/rooms/"
    assert members() == ["ana"]
    assert do("remove", "ana", member="ana").url == "/rooms/"
    assert members() == []


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", "Say who, by the user name."),
        ("nobody", "There is no user “nobody”. Look how it is spelled."),
        ("gone", "There is no user “gone”. Look how it is spelled."),
    ],
)
def test_an_invitation_of_nobody_is_told(secret, make_user, name, error):
    make_user("gone", is_active=False)

    assert error in do("invite", "ana", user=name).text
    assert members() == ["ana", "bruno"]


def test_an_open_room_has_no_members_to_invite(secret, make_user):
    Room.objects.create(slug="open", name="Open", created_by=make_user("ana"))

    response = post("/rooms/open/settings/", "ana", do="invite", user="bruno")

    assert response.status_code == 400


class TestDirect:
    def test_two_users_have_one_conversation_whoever_opens_it(self, secret):
        first = conversation("ana", "bruno")
        assert conversation("bruno", "ana") == first

        names = {
            name: client_of(name).get(first).context["name"]
            for name in ("ana", "bruno")
        }
        assert names == {"ana": "bruno", "bruno": "ana"}
        assert client_of("carla").get(first).status_code == 404
        assert client_of("olga").get(first).status_code == 404

    @pytest.mark.parametrize(
        ("name", "error"),
        [
            ("", "Say who, by the user name."),
            ("ana", "That is you; choose somebody else."),
            ("nobody", "There is no user “nobody”. Look how it is spelled."),
        ],
    )
    def test_a_conversation_with_nobody_is_told(self, secret, name, error):
        assert error in post("/direct/", "ana", user=name).text
        assert not Room.objects.filter(kind=Room.Kind.DIRECT).exists()

    def test_a_name_is_found_however_it_begins(self, secret):
        first = conversation("ana", "Bruno")

        assert first == conversation("ana", "bruno")

    def test_a_room_that_was_called_so_before_is_another_one(self, secret):
        ids = sorted(
            client_of(name).session["_auth_user_id"] for name in ("ana", "bruno")
        )
        Room.objects.create(slug="dm-{}-{}".format(*ids), name="Direct mail")

        first = conversation("ana", "bruno")

        assert first == conversation("bruno", "ana")
        assert client_of("carla").get(first).status_code == 404

    def test_nobody_runs_it_and_it_stays_readable_when_the_other_is_gone(self, secret):
        address = conversation("ana", "bruno")
        settings = f"{address}settings/"
        assert post(settings, "ana", do="archive").status_code == 403

        get_user_model().objects.get(username="bruno").delete()

        assert client_of("ana").get(address).context["name"] == "ana, bruno"

    async def test_the_list_says_whether_the_other_is_here(self, connect, join, secret):
        address = await sync_to_async(conversation)("ana", "bruno")
        slug = address.split("/")[2]
        ana = await connect("ana", "/ws/rooms/")
        await ana.send_json_to({"type": "rooms"})

        await join("bruno", "/ws/chat/")

        here = []
        while "bruno" not in here:
            for room in (await ana.hear("rooms"))["rooms"]:
                if room["room"] == slug:
                    here = room["here"]
                    assert room["members"] == ["ana", "bruno"]
