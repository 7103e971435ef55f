"""Rooms are renamed and archived by those who run them, before everybody's eyes."""

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.test import Client

from chat.hub import Hub
from chat.models import Room

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def design(make_user):
    """A room that ana made."""
    ana = make_user("ana")
    return Room.objects.create(slug="design", name="Design", created_by=ana)


def settings_of(room, user, /, **fields):
    """Post the room's settings as a user; return the response."""
    client = Client()
    client.force_login(get_user_model().objects.get(username=user))
    return client.post(f"{room.get_absolute_url()}settings/", fields)


post = sync_to_async(settings_of)


async def test_all_who_are_there_hear_of_another_name_at_once(
    join, design, monkeypatch
):
    monkeypatch.setattr(Hub, "POLL_INTERVAL", 60)
    bruno = await join("bruno", "/ws/chat/design/")

    response = await post(design, "ana", do="rename", name="Look and feel")

    assert response.status_code == 302
    told = {"type": "room", "name": "Look and feel", "archived": False}
    assert await bruno.hear("room") == told
    late = await (join)("carla", "/ws/chat/design/")
    await late.say("hola")
    assert (await bruno.hear("message"))["room"] == "design"  # the address stays


async def test_nobody_writes_or_edits_in_an_archived_room_and_all_can_read(
    join, connect, design
):
    ana = await join("ana", "/ws/chat/design/")
    await ana.say("hola")
    await ana.hear("message")

    await post(design, "ana", do="archive")

    assert (await ana.hear("room"))["archived"] is True
    for frame in (
        {"message": "too late"},
        {"type": "edit", "seq": 1, "message": "too late"},
    ):
        await ana.send_json_to(frame)
        assert (await ana.receive_json_from())["code"] == "archived"
    history = await (await connect("bruno", "/ws/chat/design/")).hear("history")
    assert history["archived"] is True
    assert [message["text"] for message in history["messages"]] == ["hola"]

    await post(design, "ana", do="restore")

    assert (await ana.hear("room"))["archived"] is False
    await ana.say("back again")
    assert (await ana.hear("message"))["seq"] == 2


async def test_another_process_hears_of_it_by_polling(join, design, monkeypatch):
    monkeypatch.setattr(Hub, "POLL_INTERVAL", 0.05)
    ana = await join("ana", "/ws/chat/design/")

    await Room.objects.filter(pk=design.pk).aupdate(name="Elsewhere")

    assert (await ana.hear("room"))["name"] == "Elsewhere"


@pytest.mark.parametrize(
    ("name", "slug", "status"),
    [
        ("ana", "design", 302),
        ("olga", "design", 302),  # staff
        ("bruno", "design", 403),
        ("olga", "lobby", 403),  # it is always there
    ],
)
def test_only_who_made_a_room_and_staff_run_it(make_user, design, name, slug, status):
    make_user("bruno")
    make_user("olga", is_staff=True)
    room = Room.objects.get(slug=slug)

    for fields in ({"do": "rename", "name": "Mine"}, {"do": "archive"}):
        assert settings_of(room, name, **fields).status_code == status

    room.refresh_from_db()
    assert (room.name == "Mine") == (room.archived_at is not None) == (status == 302)


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"do": "rename", "name": " "}, "Give the room a name."),
        ({"do": "rename", "name": "x" * 51}, "Use at most 50 characters."),
        ({"do": "burn"}, "do is one of: rename, archive, restore."),
        ({}, "do is one of: rename, archive, restore."),
    ],
)
def test_settings_that_make_no_sense_are_told_and_change_nothing(
    design, fields, answer
):
    response = settings_of(design, "ana", **fields)

    assert response.status_code in (200, 400)
    assert answer in response.text
    design.refresh_from_db()
    assert (design.name, design.archived_at) == ("Design", None)


def test_an_archived_room_is_in_a_list_of_its_own(design):
    client = Client()
    client.force_login(design.created_by)
    settings_of(design, "ana", do="archive")

    assert "Design" not in client.get("/rooms/").text
    assert "Design" in client.get("/rooms/?archived").text
    assert "Design" not in client.get("/rooms/lobby/").text
    page = client.get("/rooms/design/").text
    assert "This room is archived" in page
    assert "Bring it back" in page


async def test_settings_do_not_set_the_numbers_of_messages_back(join, design):
    ana = await join("ana", "/ws/chat/design/")
    page = await Room.objects.aget(pk=design.pk)
    await ana.say("hola")
    await ana.hear("message")

    await post(page, "ana", do="rename", name="Look and feel")

    await design.arefresh_from_db()
    assert (design.last_seq, design.last_rev) == (1, 1)
