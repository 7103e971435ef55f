"""What is new to a reader who was away, or cannot see it, and what is not."""

import re

import pytest
from playwright.sync_api import expect

from .pages import READ, enter, eventually, message, say

COUNTED = re.compile(r"^\(\d+\) ")
MISSED = 520  # messages; of more than 500 a page does not ask for each


@pytest.fixture(autouse=True)
def offline(tolerate):
    tolerate.append("ERR_INTERNET_DISCONNECTED")


@pytest.fixture
def both(both):
    """Ana and bruno, side by side in a room where bruno has read all."""
    ana, bruno = both
    say(ana, "before")
    expect(message(bruno, "before")).to_have_count(1)
    return ana, bruno


def put_behind(page, is_behind=True):
    """Put a page behind another one, or back, as far as it can tell."""
    page.evaluate(
        """hidden => {
          const hiding = { value: hidden, configurable: true };
          Object.defineProperty(document, "hidden", hiding);
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        is_behind,
    )


def disconnect(page):
    page.context.set_offline(True)
    expect(page.get_by_role("status")).to_have_text("offline")


def divider(page):
    return page.get_by_role("separator", name="new")


def test_what_was_said_during_a_break_is_new_until_it_is_seen(both):
    ana, bruno = both
    put_behind(bruno)
    disconnect(bruno)
    say(ana, "meanwhile")
    say(ana, "and more")
    expect(message(ana, "and more")).to_have_count(1)

    bruno.context.set_offline(False)

    expect(bruno).to_have_title(re.compile(r"^\(2\) "))
    after = divider(bruno).locator("xpath=following-sibling::article")
    expect(after.locator(".text")).to_have_text(["meanwhile", "and more"])
    put_behind(bruno, False)
    expect(bruno).not_to_have_title(COUNTED)


def test_after_a_long_break_the_page_goes_on_where_one_had_stopped_reading(
    both, room, crowd
):
    ana, bruno = both
    disconnect(bruno)
    [socket] = crowd.join(1, "ana", f"/ws/chat/{room}/")
    for number in range(1, MISSED + 1):
        crowd.say(socket, f"message {number}")
    expect(message(ana, f"message {MISSED}")).to_have_count(1)

    bruno.context.set_offline(False)

    expect(divider(bruno)).to_be_in_viewport()
    expect(message(bruno, "message 1")).to_be_in_viewport()
    bruno.get_by_role("button", name=f"{MISSED} new messages").click()
    expect(message(bruno, f"message {MISSED}")).to_be_in_viewport()
    expect(bruno).not_to_have_title(COUNTED)


def test_who_reads_older_ones_goes_on_there_after_a_long_break(both, room, crowd):
    ana, bruno = both
    [socket] = crowd.join(1, "ana", f"/ws/chat/{room}/")
    for number in range(1, 51):
        crowd.say(socket, f"old {number}")
    expect(message(bruno, "old 50")).to_have_count(1)
    bruno.locator("#log").evaluate("log => log.scrollTo(0, 300)")
    expect(bruno.get_by_role("button", name="To the newest")).to_be_visible()
    expect(message(bruno, "old 15")).to_be_in_viewport()

    disconnect(bruno)
    for number in range(1, MISSED + 1):
        crowd.say(socket, f"message {number}")
    expect(message(ana, f"message {MISSED}")).to_have_count(1)
    bruno.context.set_offline(False)

    button = bruno.get_by_role("button", name=f"{MISSED} new messages")
    expect(button).to_be_visible()
    expect(message(bruno, "old 15")).to_be_in_viewport()
    button.click()
    expect(message(bruno, f"message {MISSED}")).to_be_in_viewport()


def test_what_one_says_in_another_tab_is_not_new(both, room):
    ana, bruno = both
    put_behind(bruno)
    other_tab = bruno.context.new_page()
    enter(other_tab, room)

    say(other_tab, "from the other tab")
    expect(message(bruno, "from the other tab")).to_have_count(1)
    expect(divider(bruno)).to_have_count(0)
    say(ana, "that is new")

    expect(bruno).to_have_title(re.compile(r"^\(1\) "))


def test_what_was_read_last_is_told_although_the_reader_leaves_at_once(
    both, room, server
):
    ana, bruno = both
    say(ana, "goodbye")
    expect(message(bruno, "goodbye")).to_have_count(1)

    bruno.goto("/rooms/")

    assert eventually(lambda: server.rows(READ, room, "bruno") == [(2,)], within=5)
