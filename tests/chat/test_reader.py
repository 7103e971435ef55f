"""Who asks at the same time is answered together."""

import asyncio
import threading

import pytest
from django.contrib.auth import SESSION_KEY, get_user_model
from django.db import InterfaceError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from chat import entrance, identity
from chat.models import Message, Room
from chat.reader import Reader

from ..clock import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def reader():
    reader = Reader()
    yield reader
    reader.stop()
    assert not any(reader.gathering.values())


class Question:
    """Answers with twice the key, once it is let go; notes what it was asked."""

    def __init__(self):
        self.asked = []
        self.free = threading.Event()

    def __call__(self, keys):
        self.asked.append(keys)
        assert self.free.wait(5)
        return {key: 2 * key for key in keys if key != 13}


async def ask_all(reader, question, keys):
    """Ask; the first question is under way before the others come."""
    first, *others = keys
    tasks = [asyncio.create_task(reader.ask_together(question, first))]
    await until(lambda: question.asked)
    tasks += [asyncio.create_task(reader.ask_together(question, key)) for key in others]
    await until(lambda: sum(map(len, reader.gathering.values())) == len(set(others)))
    return tasks


async def test_who_asks_while_a_question_is_answered_is_asked_for_together(reader):
    question = Question()
    tasks = await ask_all(reader, question, [1, 2, 3, 2, 13])

    question.free.set()

    assert await asyncio.gather(*tasks) == [2, 4, 6, 4, None]
    assert question.asked == [[1], [2, 3, 13]]


async def test_a_crowd_is_asked_for_in_bounded_pieces(reader):
    reader.AT_ONCE = 10
    question = Question()
    tasks = await ask_all(reader, question, range(100, 125))

    question.free.set()

    assert await asyncio.gather(*tasks) == [2 * key for key in range(100, 125)]
    assert [len(keys) for keys in question.asked] == [1, 10, 10, 4]


async def test_a_failure_is_told_to_all_who_wait_and_to_nobody_later(reader):
    working = False

    def question(keys):
        if not working:
            raise OperationalError("the database is away")
        return dict.fromkeys(keys, "here")

    asked = [reader.ask_together(question, key) for key in range(3)]
    failures = await asyncio.gather(*asked, return_exceptions=True)
    working = True

    assert [type(failure) for failure in failures] == [OperationalError] * 3
    assert await reader.ask_together(question, 1) == "here"


async def test_whoever_gives_up_waiting_keeps_nobody_from_the_answer(reader):
    question = Question()
    first, second, third = await ask_all(reader, question, [1, 2, 2])

    second.cancel()
    question.free.set()

    assert (await first, await third) == (2, 4)


def test_twenty_are_looked_up_and_let_in_by_four_queries(make_user, cookie_of):
    keys = [cookie_of(f"user{n}").partition("=")[2] for n in range(20)]
    Room.objects.bulk_create(Room(slug=f"r{n}", name="-") for n in range(20))
    slugs = [f"r{n}" for n in range(20)]

    with CaptureQueriesContext(connection) as queries:
        logins = identity.logins(keys)
        entrances = entrance.entrances(slugs)

    assert [login.user.username for login in map(logins.get, keys)] == [
        f"user{n}" for n in range(20)
    ]
    assert set(entrances) == set(slugs)
    assert len(queries) == 4


async def test_whoever_has_given_up_is_not_asked_for(reader):
    question = Question()
    first, second, third = await ask_all(reader, question, [1, 2, 3])
    second.cancel()
    await asyncio.wait([second])

    question.free.set()

    assert (await first, await third) == (2, 6)
    assert question.asked == [[1], [3]]


async def test_whoever_still_waits_when_it_stops_is_told(reader):
    reader.AT_ONCE = 1
    question = Question()
    tasks = await ask_all(reader, question, [1, 2, 3, 4])
    stopping = asyncio.create_task(asyncio.to_thread(reader.stop))
    await until(lambda: reader.executor is None)

    question.free.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    await stopping

    assert answers[:2] == [2, 4]
    assert {type(answer) for answer in answers[2:]} == {InterfaceError}


@pytest.mark.parametrize(
    "engine", ["db", "cached_db", "cache", "file", "signed_cookies"]
)
def test_a_login_is_found_wherever_sessions_are(
    settings, tmp_path, make_user, cookie_of, engine
):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    key = cookie_of("ana").partition("=")[2]

    found = identity.logins(["!!!!!!!!!", "x" * 32, key])

    assert list(found) == [key]
    assert found[key].user.username == "ana"


def test_each_room_has_its_own_last_page(make_user):
    author = make_user("ana")
    counts = {"long": 60, "short": 3, "empty": 0}
    for slug, count in counts.items():
        room = Room.objects.create(slug=slug, name="-", last_seq=count, last_rev=count)
        for n in range(1, count + 1):
            facts = {"author": author, "author_name": "ana", "text": slug}
            at = room.created_at
            Message.objects.create(room=room, seq=n, rev=n, sent_at=at, **facts)

    found = Room.objects.entrances([*counts, "none"])

    assert {slug: [m.seq for m in page] for slug, (_, page) in found.items()} == {
        "long": list(range(11, 61)),
        "short": [1, 2, 3],
        "empty": [],
    }
    assert {m.text for m in found["long"][1]} == {"long"}


def test_a_key_that_is_none_costs_others_nothing(cookie_of):
    key = cookie_of("ana").partition("=")[2]

    logins = identity.logins(["\0", "x", "", key])

    assert list(logins) == [key]


def test_a_login_holds_while_the_secret_key_is_being_changed(cookie_of, settings):
    key = cookie_of("ana").partition("=")[2]
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another secret, long enough to be one for real"

    assert identity.logins([key])[key].user.username == "ana"


def test_a_login_by_a_backend_that_was_removed_is_none(cookie_of, settings):
    key = cookie_of("ana").partition("=")[2]
    settings.AUTHENTICATION_BACKENDS = ["somewhere.else.Backend"]

    assert identity.logins([key])[key].user is None


def test_a_session_of_a_key_that_is_none_costs_others_nothing(cookie_of):
    key = cookie_of("ana").partition("=")[2]
    session = identity.session_store()(cookie_of("bruno").partition("=")[2])
    session[SESSION_KEY] = "0f0e7a8c-of-another-kind"
    session.save()

    found = identity.logins([session.session_key, key])

    assert found[session.session_key].user is None
    assert found[key].user.username == "ana"


def test_a_session_that_does_not_fit_any_more_is_left_alone(cookie_of):
    key = cookie_of("ana").partition("=")[2]
    ana = get_user_model().objects.get(username="ana")
    ana.set_password("another one")
    ana.save()

    assert identity.logins([key])[key].user is None
    assert identity.session_store()().exists(key)


@pytest.mark.parametrize("at_once", [500, 2])
def test_news_of_many_rooms_are_those_of_each(make_user, monkeypatch, at_once):
    monkeypatch.setattr(type(Message.objects.all()), "NEWS", at_once)
    author = make_user("ana")
    rooms = []
    for count in (4, 0, 2):
        room = Room.objects.create(slug=f"r{count}", name="-", last_rev=count)
        rooms.append(room.pk)
        for n in range(1, count + 1):
            facts = {"author": author, "author_name": "ana", "text": "-"}
            at = room.created_at
            Message.objects.create(room=room, seq=n, rev=n, sent_at=at, **facts)
    four, none, two = rooms
    marks = [(four, 0), (four, 2), (four, 4), (none, 0), (two, 1), (0, 0)]

    found = Message.objects.news(marks, limit=3)

    assert {
        mark: ([message.rev for message in news.messages], news.more, news.last_rev)
        for mark, news in found.items()
    } == {
        (four, 0): ([1, 2, 3], True, 4),
        (four, 2): ([3, 4], False, 4),
        (four, 4): ([], False, 4),
        (none, 0): ([], False, 0),
        (two, 1): ([2], False, 2),
    }


def test_news_of_more_rooms_than_one_expression_takes(make_user):
    rooms = Room.objects.bulk_create(
        Room(slug=f"r{n}", name="-", last_seq=1, last_rev=1) for n in range(1100)
    )
    facts = {"author": make_user("ana"), "author_name": "ana", "text": "-"}
    Message.objects.bulk_create(
        Message(room=room, seq=1, rev=1, sent_at=room.created_at, **facts)
        for room in rooms
    )

    found = Message.objects.news([(room.pk, 0) for room in rooms], limit=100)

    assert len(found) == 1100
    assert {len(news.messages) for news in found.values()} == {1}
