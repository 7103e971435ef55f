"""Who is where, since when nobody shows there, and when somebody was last seen."""

from datetime import timedelta

import pytest
from django.urls import path
from django.utils import timezone

from monitor import presence
from monitor.models import Connection, Process
from monitor.processes import storing
from monitor.processes.local import local_process

from .conftest import Echo, only_connection, recorded, stored

MINUTE = timedelta(minutes=1)


class Chatty(Echo):
    monitor_control_frames = {"seen", "active"}
    monitor_automatic_frames = {"seen", "pong"}


CHATTY = path("chatty/<slug:name>/", Chatty.as_asgi(), name="chatty")


@pytest.fixture
def say(open_socket):
    """Say things over a socket; return the connection as it is stored then."""

    async def say(*texts, app=None, where="/chatty/here/"):
        socket = await open_socket(app or recorded(CHATTY), where)
        for text in texts:
            await socket.send_to(text_data=text)
            await socket.receive_from(timeout=5)
        return await only_connection()

    return say


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        '{"message": "seen"}',
        '{"type": "active"}',
        '{"type": ["seen"]}',
        '["seen"]',
        '{"type": "seen", "more": "%s"}' % ("x" * 4096),
    ],
)
async def test_by_what_a_client_says_a_person_shows(say, text):
    connection = await say(text)

    assert connection.accepted_at < connection.heard_at <= connection.active_at
    assert connection.idle_since == connection.heard_at


async def test_who_shows_after_a_while_is_told_of_at_once(open_socket, monkeypatch):
    socket, told = await open_socket(recorded(CHATTY), "/chatty/here/"), []
    await stored()
    monkeypatch.setattr(local_process().ticker, "tick", told.append)

    async def say(text):
        await socket.send_to(text_data=text)
        await socket.receive_from(timeout=5)
        await stored()

    await say("shortly after")
    assert told
    assert not any(told)  # that dashboards look is enough

    monkeypatch.setattr(storing, "AWHILE", 0.0)
    await say('{"type": "pong"}')
    assert not any(told)
    await say("after a while")
    assert any(told)


@pytest.mark.parametrize("text", ['{"type": "seen", "rev": 4}', '{"type": "pong"}'])
async def test_by_what_a_client_says_by_itself_no_person_shows(say, text):
    connection = await say(text)

    assert connection.messages_in == 1
    assert connection.active_at > connection.accepted_at
    assert connection.heard_at is None
    assert connection.idle_since == connection.accepted_at


async def test_a_later_message_of_the_client_itself_changes_nothing(open_socket):
    socket = await open_socket(recorded(CHATTY), "/chatty/here/")
    await socket.send_to(text_data='{"type": "active"}')
    await socket.receive_from()
    heard_at = (await only_connection()).heard_at

    for kind in ("seen", "pong", "seen"):
        await socket.send_to(text_data=f'{{"type": "{kind}"}}')
        await socket.receive_from()
    await socket.disconnect()

    connection = await only_connection()
    assert connection.heard_at == heard_at
    assert connection.closed_at > heard_at


async def test_where_no_message_is_automatic_every_one_counts(say):
    plain = recorded(path("plain/", Echo.as_asgi()))

    connection = await say('{"type": "seen"}', app=plain, where="/plain/")

    assert connection.heard_at is not None


async def test_what_is_sent_to_a_client_shows_nobody(open_socket):
    socket = await open_socket(recorded(CHATTY), "/chatty/here/")
    await socket.send_to(text_data="hello")
    await socket.receive_from()
    connection = await only_connection()

    # The answer came later than the message.
    assert connection.messages_out == 1
    assert connection.heard_at < connection.active_at


@pytest.fixture
def process(db):
    now = timezone.now()
    return Process.objects.create(name="web", pid=1, started_at=now, seen_at=now)


@pytest.fixture
def connected(process, django_user_model):
    """Write connections of users, as if they had been recorded."""

    def connected(name, room="lobby", ago=None, **facts):
        user, _ = django_user_model.objects.get_or_create(username=name)
        at = timezone.now() - 60 * MINUTE
        facts = {"opened_at": at, "accepted_at": at, "active_at": at} | facts
        facts |= {"route": "chat", "route_args": {"slug": room}, "path": "/"}
        facts |= {"user": user, "username": name}
        return Connection.objects.create(**{"process": process} | facts)

    return connected


def test_of_several_tabs_the_one_where_a_person_showed_last_counts(connected):
    now = timezone.now()
    connected("bruno", heard_at=now - 9 * MINUTE)
    connected("bruno", heard_at=now - 2 * MINUTE)
    connected("bruno")
    opened = connected("ana", accepted_at=now - 3 * MINUTE)
    connected("ana", "design", heard_at=now)

    assert presence.members("chat", "slug") == {
        "lobby": {"ana": opened.accepted_at, "bruno": now - 2 * MINUTE},
        "design": {"ana": now},
    }


def test_members_are_one_query_and_in_order(connected, django_assert_num_queries):
    for name in ("carla", "ana", "bruno", "ana"):
        connected(name)

    with django_assert_num_queries(1):
        found = presence.members("chat", "slug")

    assert list(found["lobby"]) == ["ana", "bruno", "carla"]


def test_nobody_knows_who_is_there_if_the_monitor_is_off(settings):
    settings.MONITOR_ENABLED = False

    assert presence.members("chat", "slug") is None


def test_somebody_was_last_seen_when_their_last_connection_ended(connected):
    now = timezone.now()
    for minutes in (30, 5, 20):
        last = connected("ana", closed_at=now - minutes * MINUTE)
    connected("ana", closed_at=now, accepted_at=None)  # was refused
    other = connected("bruno", closed_at=now)
    Connection.objects.filter(pk=other.pk).update(route="elsewhere")

    seen = presence.last_seen("chat", [last.user_id, other.user_id, 0])

    assert seen == {last.user_id: now - 5 * MINUTE}


def test_who_is_lost_was_last_seen_when_their_process_was(connected, process):
    at = timezone.now() - 8 * MINUTE
    Process.objects.update(seen_at=at)
    connected("ana", closed_at=at - MINUTE)
    lost = connected("ana", active_at=at - 2 * MINUTE)

    assert presence.members("chat", "slug") == {}
    assert presence.last_seen("chat", [lost.user_id]) == {lost.user_id: at}


def test_many_users_are_looked_up_in_few_queries(
    connected, django_assert_num_queries, monkeypatch
):
    monkeypatch.setattr(presence, "AT_ONCE", 2)
    now = timezone.now()
    users = [connected(f"user{n}", closed_at=now).user_id for n in range(5)]

    with django_assert_num_queries(6):
        assert presence.last_seen("chat", users) == dict.fromkeys(users, now)


async def test_a_person_is_not_forgotten_when_a_connection_goes_on_in_another_row(
    open_socket,
):
    socket = await open_socket(recorded(CHATTY), "/chatty/here/")
    await socket.send_to(text_data="hello")
    await socket.receive_from()
    await stored()
    heard_at = (await Connection.objects.aget()).heard_at
    [recorder] = local_process().registry

    recorder.begin_anew(recorder.process, "its row had gone")
    await stored()

    anew = await Connection.objects.aget(pk=recorder.key)
    assert anew.heard_at == heard_at
