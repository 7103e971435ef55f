"""The list of rooms beside a room and on its own page: live, before two browsers."""

import contextlib
import itertools
import json
import re
import sqlite3

import pytest
from playwright.sync_api import expect

from .pages import enter, eventually, expect_connected, message, say

TOO_SOON = {
    "type": "error",
    "code": "rate",
    "detail": "Too fast; try again in 0.1 s.",
    "about": "rooms",
    "retry_after": 0.1,
}

PHONE = {"width": 390, "height": 844}
numbers = itertools.count(1)


@pytest.fixture
def both(page_of):
    return page_of("ana"), page_of("bruno")


def make(page, private=False):
    """Make a room; return its name and its address."""
    name = f"{'Secret' if private else 'Plans'} {next(numbers)}"
    page.goto("/rooms/")
    page.get_by_label("New room").fill(name)
    page.get_by_label("Private").set_checked(private)
    page.get_by_role("button", name="Make room").click()
    expect_connected(page)
    return name, re.search("/rooms/(.+)/", page.url)[1]


def entry(page, name):
    """A room in the list beside a room, or on the page of all rooms."""
    return page.locator(".entry").filter(
        has=page.locator(".room-name").get_by_text(name, exact=True)
    )


def invite(page, name):
    page.get_by_role("button", name="Room settings").click()
    page.get_by_label("Invite").fill(name)
    page.get_by_role("button", name="Invite").click()
    expect(page.get_by_role("dialog").get_by_title(name)).to_be_visible()
    page.get_by_role("button", name="Close").click()


def test_the_page_of_all_rooms_shows_what_is_said_and_who_is_there(both):
    ana, bruno = both
    ana.goto("/rooms/")
    name, _ = make(bruno)

    room = entry(ana, name)
    expect(room).to_contain_text("Nothing said yet. Be the first.")
    say(bruno, "the plan")

    expect(room).to_contain_text("bruno: the plan")
    expect(room).to_contain_text("bruno")
    expect(room.locator(".room-here")).to_have_text("bruno")
    expect(ana.locator(".entry").first).to_contain_text(name)

    bruno.get_by_role("button", name="Room settings").click()
    bruno.get_by_role("button", name="Archive").click()
    expect(room).to_have_count(0)


@pytest.mark.parametrize("where", ["/rooms/", "/rooms/lobby/"])
def test_a_list_that_was_asked_for_too_soon_is_asked_for_again(both, where):
    ana, bruno = both
    asked = []

    def refuse_first(page):
        server = page.connect_to_server()

        def pass_on(frame):
            if json.loads(frame).get("type") == "rooms":
                asked.append(frame)
                if len(asked) == 1:
                    return page.send(json.dumps(TOO_SOON))
            return server.send(frame)

        page.on_message(pass_on)

    ana.route_web_socket(re.compile("/ws/"), refuse_first)
    ana.goto(where)
    expect_connected(ana)

    name, _ = make(bruno)

    expect(entry(ana, name)).to_have_count(1)
    assert len(asked) == 2


def test_a_room_too_far_down_to_be_told_of_keeps_its_count(own_server, page_of):
    with contextlib.closing(sqlite3.connect(own_server.database, timeout=20)) as it:
        rooms = [(f"room-{number:03}", f"Room {number}") for number in range(150)]
        it.executemany(
            "INSERT INTO chat_room (slug, name, created_at, last_seq, last_rev) "
            "VALUES (?, ?, CURRENT_TIMESTAMP, 3, 3)",
            rooms,
        )
        it.execute(
            "INSERT INTO chat_membership (room_id, user_id, since, read_seq) "
            "SELECT r.id, u.id, CURRENT_TIMESTAMP, 1 FROM chat_room r, auth_user u "
            "WHERE u.username = 'ana'"
        )
        it.commit()
    ana, marks = page_of("ana", at=own_server), []
    ana.on(
        "websocket",
        lambda socket: socket.on(
            "framereceived", lambda text: marks.append(text) if '"marks"' in text else 0
        ),
    )

    ana.goto("/rooms/?page=3")

    count = entry(ana, "Room 140").locator(".unread-count")
    assert eventually(lambda: ana.evaluate("0") or marks)  # which hears of frames
    expect(count).to_have_text("2")


def test_what_is_not_read_is_counted_and_what_calls_one_too(both):
    ana, bruno = both
    name, slug = make(ana)
    enter(bruno, slug)
    say(bruno, "first")
    expect(message(ana, "first")).to_have_count(1)
    ana.locator("#log").focus()  # the page is seen, so that is read
    enter(ana)
    count = entry(ana, name).locator(".unread-count")
    expect(count).to_be_hidden()

    say(bruno, "second")
    say(bruno, "third, @ana")

    expect(count).to_have_text("2")
    calls = entry(ana, name).locator(".calls-count")
    expect(calls).to_have_text("@1")
    expect(calls).to_have_accessible_name("1 mention")

    entry(ana, name).get_by_role("link").click()
    expect_connected(ana)
    expect(ana.get_by_role("separator", name="new")).to_be_visible()
    expect(count).to_be_hidden()
    expect(calls).to_be_hidden()
    other_tab = ana.context.new_page()
    enter(other_tab)
    expect(entry(other_tab, name).locator(".unread-count")).to_be_hidden()
    say(bruno, "fourth")
    expect(message(ana, "fourth")).to_have_count(1)
    expect(entry(other_tab, name).locator(".unread-count")).to_be_hidden()


def test_on_a_phone_the_button_says_that_something_is_not_read(own_server, page_of):
    ana = page_of("ana", own_server, viewport=PHONE)
    bruno = page_of("bruno", own_server)
    _, slug = make(bruno)
    enter(ana, slug)
    say(bruno, "first")
    expect(message(ana, "first")).to_have_count(1)
    enter(ana)
    expect(ana.get_by_role("button", name="Rooms", exact=True)).to_be_visible()

    say(bruno, "second")

    opener = ana.get_by_role("button", name="Rooms; something is not read")
    expect(opener).to_be_visible()
    enter(ana, slug)
    expect(opener).to_have_count(0)


@pytest.mark.parametrize("count", [30, 70])
def test_a_room_opens_where_one_had_stopped_reading(both, count):
    ana, bruno = both
    name, slug = make(ana)
    say(ana, "what bruno has read")
    enter(bruno, slug)
    expect(message(bruno, "what bruno has read")).to_have_count(1)
    enter(bruno)
    expect(entry(bruno, name).locator(".unread-count")).to_be_hidden()
    for number in range(1, count + 1):
        say(ana, f"message {number}")
    unread = entry(bruno, name).locator(".unread-count")
    expect(unread).to_have_text(str(count))

    enter(bruno, slug)

    first, last = message(bruno, "message 1"), message(bruno, f"message {count}")
    expect(bruno.get_by_role("separator", name="new")).to_be_in_viewport()
    expect(first).to_be_in_viewport()
    expect(unread).to_have_text(str(count))  # nobody has seen them yet
    bruno.get_by_role("button", name=f"{count} new messages").click()
    expect(last).to_be_in_viewport()
    expect(bruno.get_by_role("textbox", name="Message to")).to_be_focused()
    expect(unread).to_be_hidden()


def test_a_private_room_opens_to_who_is_invited_and_closes_at_once(both, tolerate):
    tolerate.append("404")
    ana, bruno = both
    enter(bruno)
    name, slug = make(ana, private=True)
    say(ana, "between us")
    expect(entry(bruno, name)).to_have_count(0)

    invite(ana, "bruno")

    room = entry(bruno, name)
    expect(room.locator(".unread-count")).to_have_text("1")
    room.get_by_role("link").click()
    expect_connected(bruno)
    expect(message(bruno, "between us")).to_have_count(1)

    ana.get_by_role("button", name="Room settings").click()
    ana.get_by_role("button", name="Remove bruno").click()

    gone = "Disconnected: You are not a member of this room any more."
    expect(bruno.get_by_role("alert").get_by_text(gone)).to_be_visible()
    bruno.get_by_role("alert").get_by_role("link", name="All rooms").click()
    expect_connected(bruno)
    expect(entry(bruno, name)).to_have_count(0)
    assert bruno.goto(f"/rooms/{slug}/").status == 404


def test_two_users_talk_alone(both):
    ana, bruno = both
    enter(bruno)
    ana.goto("/rooms/")
    ana.get_by_label("Message to one person").fill("bruno")
    ana.get_by_role("button", name="Open").click()
    expect_connected(ana)
    expect(ana.get_by_role("heading", level=1)).to_have_text("bruno")
    expect(ana).to_have_title("bruno · Channelscope")

    words = f"psst {next(numbers)}"
    say(ana, words)

    conversation = entry(bruno, "ana")
    expect(conversation.locator(".unread-count")).to_have_text("1")
    conversation.get_by_role("link").click()
    expect_connected(bruno)
    expect(message(bruno, words)).to_have_count(1)
    expect(bruno.get_by_role("heading", level=1)).to_have_text("ana")
    expect(bruno.get_by_role("button", name="Room settings")).to_have_count(0)


def test_nothing_moves_in_a_list_that_somebody_points_at(both):
    ana, bruno = both
    older, _ = make(ana)
    say(ana, "older")
    newer, _ = make(ana)
    say(ana, "newer")
    names = ana.locator("#rooms-list .room-name")
    expect(names.first).to_have_text(newer)
    entry(ana, newer).hover()

    enter(bruno, older.lower().replace(" ", "-"))
    say(bruno, "I am back")
    expect(entry(ana, older).locator(".room-last")).to_have_text("bruno: I am back")
    expect(names.first).to_have_text(newer)

    ana.locator("#log").hover()
    expect(names.first).to_have_text(older)
