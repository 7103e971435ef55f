"""A room is made, renamed, archived and brought back, and all who look see it."""

import re

import pytest
from playwright.sync_api import expect

from .pages import enter, message, say

ROOM = re.compile(r"/rooms/([a-z0-9-]+)/")


@pytest.fixture
def made(page_of, request):
    """Ana in a room that she has made, and bruno there, too."""
    ana, bruno = page_of("ana"), page_of("bruno")
    ana.goto("/rooms/")
    ana.get_by_label("New room").fill(f"Plans {request.node.name[-6:]}")
    ana.get_by_role("button", name="Make room").click()
    ana.wait_for_url(ROOM)
    slug = ROOM.search(ana.url)[1]
    enter(ana, slug)
    enter(bruno, slug)
    return ana, bruno, slug


def settings(page):
    page.get_by_role("button", name="Room settings").click()
    return page.get_by_role("dialog", name="Room settings")


def test_another_name_is_seen_by_all_who_are_there(made):
    ana, bruno, slug = made
    say(ana, "before")
    expect(message(bruno, "before")).to_have_count(1)

    dialog = settings(ana)
    dialog.get_by_label("Name").fill("Great plans")
    dialog.get_by_role("button", name="Rename").click()

    for page in (ana, bruno):
        expect(page.get_by_role("heading", level=1)).to_have_text("Great plans")
        expect(page.locator("[aria-current] .room-name")).to_have_text("Great plans")
        expect(page).to_have_title("# Great plans · Channelscope")
        expect(page.get_by_role("textbox", name="Message to")).to_have_attribute(
            "placeholder", "Message # Great plans"
        )
    assert ROOM.search(ana.url)[1] == slug


def test_a_name_that_is_no_good_is_told_in_the_dialog(made):
    ana, _, _ = made
    dialog = settings(ana)
    dialog.get_by_label("Name").fill("   ")
    dialog.get_by_role("button", name="Rename").click()

    expect(ana.get_by_role("dialog", name="Room settings")).to_be_visible()
    expect(ana.get_by_text("Give the room a name.")).to_be_visible()


def test_the_dialog_shows_the_room_as_it_is_by_now(made):
    ana, _, slug = made
    other_tab = ana.context.new_page()
    enter(other_tab, slug)
    dialog = settings(other_tab)
    dialog.get_by_label("Name").fill("Greater plans")
    dialog.get_by_role("button", name="Rename").click()
    expect(ana.get_by_role("heading", level=1)).to_have_text("Greater plans")

    expect(settings(ana).get_by_label("Name")).to_have_value("Greater plans")


def test_an_archived_room_can_be_read_and_brought_back(made):
    ana, bruno, slug = made
    say(ana, "for later")
    expect(message(bruno, "for later")).to_have_count(1)

    settings(ana).get_by_role("button", name="Archive").click()

    field = bruno.get_by_role("textbox", name="Message to")
    expect(field).to_be_hidden()
    expect(bruno.get_by_text("This room is archived")).to_be_visible()
    expect(message(bruno, "for later")).to_have_count(1)
    bruno.goto("/rooms/")
    expect(bruno.locator(f"a[href='/rooms/{slug}/']")).to_have_count(0)
    bruno.get_by_role("link", name="Archived rooms").click()
    bruno.locator(f"a[href='/rooms/{slug}/']").click()
    expect(message(bruno, "for later")).to_have_count(1)

    settings(ana).get_by_role("button", name="Bring it back").click()

    expect(field).to_be_visible()
    say(bruno, "and on it goes")
    expect(message(ana, "and on it goes")).to_have_count(1)


def test_who_does_not_run_a_room_gets_no_settings(made):
    _, bruno, _ = made

    expect(bruno.get_by_role("button", name="Room settings")).to_have_count(0)
