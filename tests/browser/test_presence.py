"""A room shows who is here, who of them is idle, and who was there before."""

import os
import re
import sqlite3

import pytest
from playwright.sync_api import expect

from .pages import enter, eventually, message, say

# The roll is called every ten seconds, for which these wait again and again.
at_length = pytest.mark.skipif(
    os.environ.get("SOAK") != "1", reason="takes long; make soak runs it"
)
IDLE_FOR = re.compile(r"^bruno idle for (9|10|11) min$")


@pytest.fixture
def database(server):
    """The server's database, for what would take minutes otherwise."""
    database = sqlite3.connect(
        server.data_dir / "channelscope.sqlite3", timeout=20, isolation_level=None
    )
    yield database
    database.close()


def here(page):
    return page.locator("#members").get_by_role("listitem")


def away(page):
    return page.get_by_role("region", name="Away").get_by_role("listitem")


def let_pass(database, room, username, minutes=10):
    """Let it be so long ago that somebody last showed in a room."""
    asked = (
        "UPDATE monitor_connection SET heard_at = NULL, "
        "accepted_at = datetime(accepted_at, ?) "
        "WHERE path = ? AND username = ? AND closed_at IS NULL "
        "AND accepted_at IS NOT NULL"
    )
    of_whom = (f"-{minutes} minutes", f"/ws/chat/{room}/", username)
    assert eventually(lambda: database.execute(asked, of_whom).rowcount == 1)


def make_member(database, room, username):
    """Give somebody a place in a room, as reading there does."""
    database.execute(
        "INSERT OR IGNORE INTO chat_membership (room_id, user_id, since, read_seq) "
        "SELECT r.id, u.id, CURRENT_TIMESTAMP, 0 FROM chat_room r, auth_user u "
        "WHERE r.slug = ? AND u.username = ?",
        (room, username),
    )


def move_pointer(page):
    page.mouse.move(300, 300)
    page.mouse.move(320, 340)


def write(page):
    page.get_by_role("textbox", name="Message to").press_sequentially("h")


def test_who_goes_away_from_the_page_is_idle_until_they_write(both, room, database):
    ana, bruno = both
    expect(here(ana)).to_have_text(["ana (you)", "bruno"])

    let_pass(database, room, "bruno")
    expect(here(ana).nth(1)).to_have_text(IDLE_FOR)
    time = here(ana).nth(1).locator("time")
    expect(time).to_have_attribute("title", re.compile(r"\d\d:\d\d"))
    expect(ana.locator("#here-count")).to_have_text("2")

    write(bruno)

    expect(here(ana)).to_have_text(["ana (you)", "bruno"])


@at_length
def test_who_only_gets_messages_stays_idle(both, room, database):
    ana, bruno = both
    let_pass(database, room, "bruno")
    expect(here(ana).nth(1)).to_have_text(IDLE_FOR)

    for number in range(30):
        say(ana, f"message {number}")
    expect(message(bruno, "message 29")).to_have_count(1)
    # The next roll has heard of all that.
    write(ana)
    say(ana, "and bruno?")
    expect(message(bruno, "and bruno?")).to_have_count(1)

    expect(here(bruno).filter(has_text="bruno")).to_have_text(
        re.compile(r"^bruno \(you\) idle for")
    )


def test_who_comes_and_goes_leaves_the_keyboard_where_it_is(both, room, page_of):
    ana, bruno = both
    to_bruno = ana.get_by_role("button", name="Message to bruno alone")
    to_bruno.focus()

    vera = page_of("vera")
    enter(vera, room)
    expect(here(ana)).to_have_text(["ana (you)", "bruno", "vera"])
    expect(to_bruno).to_be_focused()

    bruno.goto("/rooms/")
    expect(here(ana)).to_have_text(["ana (you)", "vera"])
    # There is nothing to press any more; the next key starts from the side.
    assert ana.evaluate("document.activeElement.id") == "members-side"


def test_who_leaves_was_last_seen_then(both, room, database, page_of):
    ana, bruno = both
    make_member(database, room, "bruno")
    expect(here(ana)).to_have_text(["ana (you)", "bruno"])
    expect(away(ana)).to_have_count(0)

    bruno.goto("/rooms/")

    expect(here(ana)).to_have_text(["ana (you)"])
    expect(away(ana)).to_have_text(["bruno last seen just now"])
    expect(ana.locator("#here-count")).to_have_text("1")
    enter(bruno, "lobby")
    expect(away(ana)).to_have_text(["bruno in another room"])
    enter(bruno, room)
    expect(away(ana)).to_have_count(0)


@at_length
def test_the_times_go_on_by_themselves(both, room, database):
    ana, _ = both
    let_pass(database, room, "bruno")
    expect(here(ana).nth(1)).to_have_text(IDLE_FOR)
    ana.clock.install()
    ana.reload()
    expect(here(ana).nth(1)).to_have_text(IDLE_FOR)

    ana.clock.fast_forward(2 * 3_600_000)

    expect(here(ana).nth(1)).to_have_text("bruno idle for 2 hr")


def test_a_person_is_told_of_at_most_once_a_minute(page_of, room):
    ana, sent = page_of("ana"), []
    ana.on(
        "websocket",
        lambda socket: socket.on(
            "framesent", lambda frame: sent.append(frame) if "active" in frame else None
        ),
    )
    ana.clock.install()
    enter(ana, room)
    assert sent == []

    move_pointer(ana)
    ana.keyboard.press("Shift")
    ana.clock.fast_forward(59_000)
    move_pointer(ana)
    say(ana, "that was it")
    expect(message(ana, "that was it")).to_have_count(1)
    assert sent == ['{"type":"active"}']

    ana.clock.fast_forward(2_000)
    move_pointer(ana)
    assert eventually(lambda: len(sent) == 2)
