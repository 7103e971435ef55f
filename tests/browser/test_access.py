"""For keyboards and screen readers: axe-core finds nothing serious on any page."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from .pages import enter, message, say

AXE = Path(__file__).parent / "node_modules/axe-core/axe.min.js"
SERIOUS = ("serious", "critical")
PHONE = {"viewport": {"width": 390, "height": 844}}
LOOKS = [{}, PHONE | {"color_scheme": "dark"}]


@pytest.fixture(params=LOOKS, ids=["light", "dark phone"])
def ana(request, page_of):
    return page_of("ana", **request.param)


def findings(page):
    """What axe-core finds on a page that is serious, and where."""
    assert AXE.exists(), "axe-core is missing; type: npm ci --prefix tests/browser"
    # Animations are over, or colours would be measured half-way.
    page.emulate_media(reduced_motion="reduce")
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")["violations"]
    return [
        f"{one['id']}: {node['html'][:120]} {node['failureSummary']}"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


def test_a_busy_room(ana, page_of):
    enter(ana)
    bruno = page_of("bruno")
    enter(bruno)
    say(bruno, "@ana see https://example.org/, please")
    say(ana, "in a minute")
    expect(message(ana, "in a minute").last).to_be_visible()
    message(ana, "in a minute").last.click()

    assert findings(ana) == []


def test_a_room_that_offers_names(ana, page_of):
    enter(ana)
    enter(page_of("bruno"))
    expect(ana.locator("#member-count")).not_to_have_text("1")

    ana.get_by_role("textbox", name="Message to").press_sequentially("@b")
    expect(ana.get_by_role("option", name="bruno", selected=True)).to_be_visible()

    assert findings(ana) == []


def test_an_empty_room_with_its_settings_open(ana):
    ana.goto("/rooms/")
    ana.get_by_label("New room").fill(f"Quiet {ana.viewport_size} {id(ana)}"[:50])
    ana.get_by_label("Private").check()
    ana.get_by_role("button", name="Make room").click()
    expect(ana.get_by_role("status").first).to_have_text("connected")
    assert findings(ana) == []

    ana.get_by_role("button", name="Room settings").click()

    assert findings(ana) == []


def test_a_room_without_a_connection(ana, tolerate):
    tolerate.append("ERR_INTERNET_DISCONNECTED")
    enter(ana)

    ana.context.set_offline(True)
    expect(ana.get_by_role("status").first).to_have_text("offline")

    assert findings(ana) == []


def test_the_list_of_rooms(ana):
    ana.goto("/rooms/")
    expect(ana.get_by_role("status").first).to_have_text("connected")

    assert findings(ana) == []


def test_a_room_is_used_by_the_keyboard_alone(page_of):
    page = page_of("ana")
    enter(page)
    press = page.keyboard.press

    skip = page.get_by_role("link", name="Skip to the message field")
    skip.focus()
    expect(skip).to_be_in_viewport()
    press("Enter")
    expect(page.get_by_role("textbox", name="Message to")).to_be_focused()
    page.keyboard.type("by keyboard")
    press("Enter")
    expect(message(page, "by keyboard").last).to_be_visible()

    delete = page.get_by_role("button", name="Delete the message of ana").last
    press("Shift+Tab")
    expect(delete).to_be_focused()
    expect(delete).to_be_in_viewport()
    assert (
        delete.evaluate("element => getComputedStyle(element).outlineStyle") != "none"
    )
    press("Enter")
    dialog = page.get_by_role("dialog", name="Delete this message?")
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    press("Escape")
    expect(dialog).to_be_hidden()
    expect(delete).to_be_focused()

    press("Control+k")
    expect(page.get_by_role("searchbox")).to_be_focused()
    press("Escape")
    expect(delete).to_be_focused()


@pytest.mark.parametrize("address", ["/login/", "/rooms/none/"])
def test_pages_before_and_beside_the_rooms(page_of, tolerate, address):
    tolerate.append(r"404")
    page = page_of(None if address == "/login/" else "ana")
    page.goto(address)

    assert findings(page) == []
