import re

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from chat import views
from chat.checks import check_limits
from chat.listing import LISTED
from chat.models import Message, Room

pytestmark = pytest.mark.django_db


@pytest.fixture
def ana(client):
    user = get_user_model().objects.create_user("ana", password="cumbre-alta-7")
    client.force_login(user)
    return user


@pytest.fixture
def present(monkeypatch):
    """Who is said to be where; None switches the monitor off."""

    def set_present(rooms):
        monkeypatch.setattr(views.presence, "members", lambda *_: rooms)

    set_present({})
    return set_present


def say(room, author, text):
    room.last_seq += 1
    room.last_rev += 1
    room.save()
    return Message.objects.create(
        room=room,
        seq=room.last_seq,
        rev=room.last_rev,
        author=author,
        author_name=author.username,
        text=text,
        sent_at=timezone.now(),
    )


@pytest.mark.parametrize("address", ["/", "/rooms/", "/rooms/lobby/", "/rooms/none/"])
def test_visitors_are_sent_to_the_login(client, address):
    response = client.get(address)

    assert response.status_code == 302
    assert response.url == f"/login/?next={address}"


def test_a_login_leads_to_the_lobby(client):
    get_user_model().objects.create_user("ana", password="cumbre-alta-7")

    response = client.post(
        "/login/", {"username": "ana", "password": "cumbre-alta-7"}, follow=True
    )

    assert response.redirect_chain[-1] == ("/rooms/lobby/", 302)


def test_a_wrong_password_is_told(client):
    response = client.post("/login/", {"username": "ana", "password": "wrong"})

    assert "Please enter a correct username and password" in response.text


def test_who_logs_out_is_at_the_login_again(client, ana):
    assert client.post("/logout/").url == "/login/"
    assert client.get("/").url.startswith("/login/")


def test_a_room_page_names_the_room_and_the_user(client, ana):
    page = client.get("/rooms/lobby/").text

    assert 'data-slug="lobby"' in page
    assert 'data-user="ana"' in page


def test_a_room_that_is_not_there_is_not_found(client, ana):
    response = client.get("/rooms/none/")

    assert response.status_code == 404
    assert "There is nothing at this address." in response.text


def test_the_list_shows_last_messages_and_who_is_there(client, ana, present):
    present({"lobby": ["ana", "bruno"]})
    lobby = Room.objects.get(slug="lobby")
    say(lobby, ana, "the first")
    say(lobby, ana, "the last")

    (room,) = client.get("/rooms/").context["rooms"]

    assert (room["last"]["user"], room["last"]["text"]) == ("ana", "the last")
    assert (room["here"], room["here_count"]) == (["ana", "bruno"], 2)


def test_without_the_monitor_the_list_says_that_presence_is_unavailable(
    client, ana, present
):
    present(None)

    response = client.get("/rooms/")

    assert "Presence unavailable" in response.text
    assert "here" not in response.context["rooms"][0]


@pytest.mark.parametrize("address", ["/rooms/", "/rooms/lobby/"])
def test_the_number_of_queries_does_not_grow_with_the_rooms(
    client, ana, present, django_assert_max_num_queries, address
):
    for number in range(40):
        room = Room.objects.create(slug=f"room-{number}", name=f"Room {number}")
        say(room, ana, "hola")

    with django_assert_max_num_queries(10):
        client.get(address)


def test_many_rooms_are_shown_page_by_page(client, ana, present):
    Room.objects.bulk_create(Room(slug=f"r{n}", name=f"r{n}") for n in range(60))

    assert len(client.get("/rooms/").context["rooms"]) == 50
    assert len(client.get("/rooms/?page=2").context["rooms"]) == 11


def test_a_room_with_a_far_place_in_the_list_is_in_its_own_sidebar(client, ana):
    Room.objects.bulk_create(Room(slug=f"a{n}", name=f"a{n}") for n in range(120))

    rooms = client.get("/rooms/lobby/").context["rooms"]

    assert "lobby" in [room["room"] for room in rooms]
    assert len(rooms) == LISTED + 1


def test_a_new_room_has_an_address_made_from_its_name(client, ana):
    response = client.post("/rooms/", {"name": "Diseño & Código_2"})

    assert response.url == "/rooms/diseno-codigo-2/"
    room = Room.objects.get(slug="diseno-codigo-2")
    assert (room.name, room.created_by) == ("Diseño & Código_2", ana)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("!!!", r"room-\w{8}"),
        ("DM 1 2", r"room-dm-1-2-\w{8}"),
        ("北京", r"room-\w{8}"),
        ("ﬃ" * 40, r"room-(ffi){12}-\w{8}"),
        ("lob_by", r"lob-by-\w{8}"),
        ("a" * 50, r"a{50}"),
    ],
)
def test_any_name_finds_an_address(client, ana, name, address):
    Room.objects.create(slug="lob-by", name="Another")

    response = client.post("/rooms/", {"name": name})

    assert re.fullmatch(f"/rooms/{address}/", response.url)
    assert client.get(response.url).status_code == 200


def test_no_other_room_takes_the_name_of_one_that_is_open(client, ana):
    address = client.post("/rooms/", {"name": "Plans"}).url

    response = client.post(f"{address}settings/", {"do": "rename", "name": "Lobby"})

    assert "There is a room “Lobby” already." in response.text
    response = client.post(f"{address}settings/", {"do": "rename", "name": "plans"})
    assert response.status_code == 302


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", "Give the room a name."),
        ("   ", "Give the room a name."),
        ("LOBBY", "There is a room “LOBBY” already."),
        ("x" * 51, "Use at most 50 characters."),
        ("a\0b", "Null characters are not allowed."),
    ],
)
def test_a_name_that_will_not_do_is_told(client, ana, present, name, error):
    response = client.post("/rooms/", {"name": name})

    assert error in response.text
    assert Room.objects.count() == 1


def test_only_staff_who_may_see_the_monitor_get_its_link(client, ana):
    assert "/admin/monitor/live/" not in client.get("/rooms/lobby/").text

    ana.is_staff = ana.is_superuser = True
    ana.save()

    assert "/admin/monitor/live/" in client.get("/rooms/lobby/").text


@pytest.mark.parametrize("template", ["403.html", "404.html", "500.html"])
def test_error_pages_need_nothing_to_be_shown(rf, template):
    assert "Channelscope" in render_to_string(template)


def test_the_lobby_comes_back_after_a_flush():
    Room.objects.all().delete()

    call_command("migrate", verbosity=0)

    assert Room.objects.get().slug == "lobby"


def test_messages_outlive_their_author(ana):
    message = say(Room.objects.get(slug="lobby"), ana, "hola")

    ana.delete()

    message.refresh_from_db()
    assert (message.author, message.author_name) == (None, "ana")


def test_limits_that_would_keep_everybody_out_are_errors(settings):
    assert check_limits(None) == []

    settings.CHAT_RATE = 0
    settings.CHAT_MAX_CONNECTIONS = 0

    assert [error.msg for error in check_limits(None)] == [
        "CHAT_RATE is 0; nobody could write a message.",
        "CHAT_MAX_CONNECTIONS is 0; nobody could enter a room.",
    ]


class TestAdmin:
    def test_renaming_a_room_leaves_its_count_alone(self, admin_client, ana):
        lobby = Room.objects.get(slug="lobby")
        address = reverse("admin:chat_room_change", args=[lobby.pk])
        admin_client.get(address)
        say(lobby, ana, "meanwhile")

        admin_client.post(address, {"name": "The lobby"})

        lobby.refresh_from_db()
        assert (lobby.name, lobby.last_seq) == ("The lobby", 1)

    def test_a_room_goes_with_its_messages(self, admin_client, ana):
        room = Room.objects.create(slug="design", name="Design")
        say(room, ana, "hola")

        admin_client.post(
            reverse("admin:chat_room_delete", args=[room.pk]), {"post": "yes"}
        )

        assert not Message.objects.exists()
        assert not Room.objects.filter(slug="design").exists()

    def test_a_message_can_only_be_read(self, admin_client, ana):
        message = say(Room.objects.get(slug="lobby"), ana, "hola")
        address = reverse("admin:chat_message_change", args=[message.pk])

        assert admin_client.get(address).status_code == 200
        assert admin_client.post(address, {"text": "adiós"}).status_code == 403
        assert admin_client.get(reverse("admin:chat_message_add")).status_code == 403
        message.refresh_from_db()
        assert message.text == "hola"


@pytest.mark.parametrize(
    ("address", "led_to"),
    [("/direct/", "/rooms/"), ("/rooms/lobby/settings/", "/rooms/lobby/")],
)
def test_who_logged_in_after_sending_a_form_is_led_to_its_page(client, address, led_to):
    sent = client.post(address, {"user": "bruno", "do": "leave"})
    assert sent.url == f"/login/?next={address}"

    client.force_login(get_user_model().objects.create_user("ana"))

    assert client.get(address).url == led_to
