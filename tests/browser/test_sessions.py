"""The session on a connection's page is the one in the database."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.sessions.serializers import JSONSerializer
from django.core import signing
from playwright.sync_api import expect

from .pages import connection_id, enter, facts, follow, live_rows, watch

SALT = "django.contrib.sessions.SessionStore"


def decoded(server, session_data):
    """The values of a session, read with the server's secret."""
    secret = (server.data_dir / "secret-key").read_text().strip()
    return signing.loads(session_data, key=secret, salt=SALT, serializer=JSONSerializer)


@pytest.mark.parametrize("user", ["ana", "bruno"])
def test_the_session_shown_equals_django_session(server, page_of, room, user):
    server.cookies.pop(user, None)  # a login of its own, which is the last one
    page, olga = page_of(user), page_of("olga")
    enter(page, room)
    key = server.cookie(user).removeprefix("sessionid=")
    [(data, expires)] = server.rows(
        "SELECT session_data, expire_date FROM django_session WHERE session_key = ?",
        key,
    )
    [(user_id, last_login)] = server.rows(
        "SELECT id, last_login FROM auth_user WHERE username = ?", user
    )
    values = decoded(server, data)
    assert values["_auth_user_id"] == str(user_id)

    watch(olga)
    row = live_rows(olga, f"/ws/chat/{room}/")
    connection = connection_id(row)
    follow(olga, row, user)
    shown = facts(olga, "Session")

    assert shown["Expires"] == expires[:19]
    assert set(shown["Keys"].split()) == {
        name for name in values if not name.startswith("_monitor")
    }
    began = datetime.fromisoformat(shown["Began"])
    assert abs(began - datetime.fromisoformat(last_login)) < timedelta(seconds=3)
    assert began < datetime.now(UTC).replace(tzinfo=None)

    mark = shown["Mark"].split()[0]
    assert mark not in key
    for algorithm in ("md5", "sha1", "sha256", "sha512"):
        assert mark not in hashlib.new(algorithm, key.encode()).hexdigest()
    assert key not in olga.content()
    recorded = server.rows(
        "SELECT * FROM monitor_connection WHERE id = ?", connection.replace("-", "")
    )
    assert len(recorded) == 1
    assert key not in json.dumps(recorded)


def test_two_users_have_two_marks_and_two_tabs_of_one_user_the_same(page_of, room):
    for user in ("ana", "ana", "bruno"):
        enter(page_of(user), room)
    olga = page_of("olga")
    watch(olga)
    links = live_rows(olga, f"/ws/chat/{room}/").locator("td.user a")
    expect(links).to_have_count(3)
    paths = [link.get_attribute("href") for link in links.all()]

    marks = []
    for path in paths:
        olga.goto(path)
        who, session = facts(olga, "Who"), facts(olga, "Session")
        marks.append((who["User"], session["Mark"]))

    assert len(marks) == 3
    assert len(set(marks)) == 2
