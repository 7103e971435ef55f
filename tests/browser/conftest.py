"""A browser, servers that several tests share, and pages that may not complain."""

import itertools
import re
import sqlite3

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.server import Server

from . import chromium
from .crowd import Crowd
from .pages import enter

PATIENCE = 20_000  # milliseconds; only a failing test waits that long
QUICK = {"CHAT_RATE": "1000", "CHAT_MAX_CONNECTIONS": "1000"}

expect.set_options(timeout=PATIENCE)


@pytest.fixture(autouse=True)
def quick_settings():
    """Nothing: the server under test is another process, with its own settings."""


@pytest.fixture(autouse=True)
def nothing_stays_recorded_in_memory():
    """Nothing: this process records nothing."""


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server_with(tmp_path_factory):
    """Servers by their environment, each started once for all tests."""
    started = {}

    def server_with(**environment):
        key = tuple(sorted(environment.items()))
        if key not in started:
            data = tmp_path_factory.mktemp("server") / "data"
            started[key] = Server(data, **(QUICK | environment)).start()
        return started[key]

    yield server_with
    for server in started.values():
        server.kill()


@pytest.fixture(scope="session")
def server(server_with):
    """The server that all tests share which neither harm nor set it up."""
    return server_with()


@pytest.fixture
def own_server(tmp_path):
    """A server that a test may freeze, kill and start again."""
    with Server(tmp_path / "data", **QUICK) as server:
        yield server


@pytest.fixture
def tolerate():
    """Patterns of complaints that the test provokes."""
    return []


@pytest.fixture
def page_of(request, browser, tolerate):
    """Open pages of users, each in a browser of its own."""
    contexts, complaints = [], []

    def page_of(user=None, at=None, **options):
        server = at or request.getfixturevalue("server")
        context = chromium.context_of(browser, server, user, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda line: line.type == "error" and complaints.append(line.text),
        )
        return page

    yield page_of
    for context in contexts:
        context.close()
    unexpected = [
        complaint
        for complaint in complaints
        if not any(re.search(pattern, complaint) for pattern in tolerate)
    ]
    assert not unexpected


@pytest.fixture
def crowd(server):
    """Clients of the shared server that need no browser."""
    with Crowd(server) as crowd:
        yield crowd


_rooms = itertools.count(1)


@pytest.fixture
def room(server):
    """The slug of a room that only this test knows."""
    slug = f"room-{next(_rooms)}"
    assert server.post("/rooms/", "ana", name=slug).status == 302
    return slug


@pytest.fixture
def both(page_of, room):
    """Ana and bruno, side by side in a room."""
    ana, bruno = page_of("ana"), page_of("bruno")
    enter(ana, room)
    enter(bruno, room)
    return ana, bruno


@pytest.fixture
def without_groups(server):
    """Take the groups away from users, behind the server's back, and give them back."""
    taken = []
    database = sqlite3.connect(
        server.data_dir / "channelscope.sqlite3", timeout=20, isolation_level=None
    )

    def without_groups(username):
        taken.extend(
            database.execute(
                "DELETE FROM auth_user_groups WHERE user_id ="
                " (SELECT id FROM auth_user WHERE username = ?)"
                " RETURNING user_id, group_id",
                [username],
            ).fetchall()
        )

    yield without_groups
    database.executemany(
        "INSERT INTO auth_user_groups (user_id, group_id) VALUES (?, ?)", taken
    )
    database.close()
