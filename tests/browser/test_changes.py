"""What was written is edited and deleted, before everybody's eyes."""

import json
import re

import pytest
from playwright.sync_api import expect

from .pages import enter, eventually, message, say, texts


@pytest.fixture
def both(both):
    """Ana and bruno, side by side in a room where ana said something."""
    ana, bruno = both
    say(ana, "a typpo")
    expect(message(bruno, "a typpo")).to_have_count(1)
    return ana, bruno


def deletion(page):
    return page.get_by_role("dialog", name="Delete this message?")


def test_the_arrow_key_edits_the_last_own_message_for_everybody(both):
    ana, bruno = both
    say(bruno, "not of ana's")
    expect(message(ana, "not of ana's")).to_have_count(1)
    field = ana.get_by_role("textbox", name="Message to")

    field.press("ArrowUp")
    expect(ana.get_by_text("Editing your message of")).to_be_visible()
    expect(field).to_have_value("a typpo")
    field.fill("a typo")
    field.press("Enter")

    for page in both:
        expect(page.locator("#messages .message").first).to_contain_text("a typo")
        expect(page.locator(".edited")).to_have_text(["(edited)"])
    expect(field).to_have_value("")
    bruno.reload()
    expect(bruno.locator("#messages .message").first).to_contain_text("a typo (edited)")
    assert len(texts(bruno)) == 2


def test_a_draft_survives_an_edit_that_is_cancelled(both):
    ana, _ = both
    field = ana.get_by_role("textbox", name="Message to")
    field.fill("half a thought")
    ana.locator("#messages .message").hover()
    ana.get_by_role("button", name="Edit the message").click()
    expect(field).to_have_value("a typpo")

    field.press("Escape")

    expect(field).to_have_value("half a thought")
    expect(ana.get_by_text("Editing your message of")).to_be_hidden()


def test_a_message_is_deleted_after_a_question_and_leaves_its_place(both):
    ana, bruno = both
    ana.locator("#messages .message").hover()

    ana.get_by_role("button", name="Delete the message").click()
    expect(deletion(ana)).to_contain_text("a typpo")
    ana.keyboard.press("Escape")
    expect(message(bruno, "a typpo")).to_have_count(1)
    ana.locator("#messages .message").hover()
    ana.get_by_role("button", name="Delete the message").click()
    deletion(ana).get_by_role("button", name="Delete").click()

    for page in both:
        expect(page.locator("#messages .text")).to_have_text(
            ["This message was deleted."]
        )
        expect(page.get_by_role("button", name="the message of")).to_have_count(0)


def test_staff_delete_what_others_wrote_and_users_cannot(both, page_of, room):
    ana, bruno = both
    expect(bruno.get_by_role("button", name="the message of")).to_have_count(0)
    ana.get_by_role("button", name="Edit the message").focus()
    olga = page_of("olga")
    enter(olga, room)
    olga.locator("#messages .message").hover()
    expect(olga.get_by_role("button", name="Edit the message")).to_have_count(0)

    olga.get_by_role("button", name="Delete the message").click()
    deletion(olga).get_by_role("button", name="Delete").click()

    expect(message(bruno, "This message was deleted by olga.")).to_have_count(1)
    # Ana's keyboard is still at the message, not at the top of the page.
    expect(ana.locator("#messages .message.deleted")).to_be_focused()


def test_an_edit_that_a_break_swallowed_is_made_when_the_page_is_back(page_of, room):
    ana, bruno = page_of("ana"), page_of("bruno")
    swallowed = []

    def connected(socket):
        server = socket.connect_to_server()

        def pass_on(text):
            if json.loads(text).get("type") == "edit" and not swallowed:
                swallowed.append(text)
                socket.close(code=4012, reason="The server restarts.")
            else:
                server.send(text)

        socket.on_message(pass_on)

    ana.route_web_socket(re.compile("/ws/chat/"), connected)
    enter(ana, room)
    enter(bruno, room)
    say(ana, "a typpo")
    field = ana.get_by_role("textbox", name="Message to")
    expect(message(ana, "a typpo")).to_have_count(1)

    field.press("ArrowUp")
    field.fill("a typo")
    field.press("Enter")

    expect(bruno.locator("#messages .text")).to_have_text(["a typo (edited)"])
    expect(ana.locator("#messages .text")).to_have_text(["a typo (edited)"])
    expect(ana.locator("#messages .fate")).to_have_count(0)
    assert swallowed


def test_a_change_that_is_refused_is_told_and_the_text_is_not_lost(page_of, room):
    ana = page_of("ana")

    def connected(socket):
        server = socket.connect_to_server()

        def pass_on(text):
            frame = json.loads(text)
            if frame.get("type") != "edit":
                return server.send(text)
            error = {"type": "error", "code": "no-such-message", "seq": frame["seq"]}
            socket.send(json.dumps(error | {"detail": "This message is gone."}))

        socket.on_message(pass_on)

    ana.route_web_socket(re.compile("/ws/chat/"), connected)
    enter(ana, room)
    say(ana, "a typpo")
    expect(message(ana, "a typpo")).to_have_count(1)
    field = ana.get_by_role("textbox", name="Message to")
    field.press("ArrowUp")
    field.fill("a typo")
    field.press("Enter")

    expect(ana.get_by_text("Not changed: This message is gone.")).to_be_visible()
    ana.get_by_role("button", name="Edit again").click()

    expect(field).to_have_value("a typo")


def test_a_change_that_waits_for_the_answer_to_another_is_not_lost_with_it(
    page_of, room
):
    ana = page_of("ana")
    sockets, held, swallowed = [], [], []

    def connected(socket):
        server = socket.connect_to_server()
        sockets.append(socket)

        def pass_on(text):
            if json.loads(text).get("message") == "two" and not swallowed:
                swallowed.append(text)
            else:
                server.send(text)

        def answer(text):
            first = json.loads(text)["type"] == "done" and not held
            held.append(text) if first else socket.send(text)

        socket.on_message(pass_on)
        server.on_message(answer)

    ana.route_web_socket(re.compile("/ws/chat/"), connected)
    enter(ana, room)
    say(ana, "zero")
    expect(message(ana, "zero")).to_have_count(1)
    field = ana.get_by_role("textbox", name="Message to")
    for text in ("one", "two"):
        field.press("ArrowUp")
        field.fill(text)
        field.press("Enter")
    assert eventually(lambda: held or ana.wait_for_timeout(10))

    sockets[0].send(held[0])
    assert eventually(lambda: swallowed or ana.wait_for_timeout(10))
    sockets[0].close(code=4012, reason="The server restarts.")

    expect(ana.locator("#messages .text")).to_have_text(["two (edited)"])
    expect(ana.locator("#messages .fate")).to_have_count(0)
