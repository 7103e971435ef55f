"""For keyboards and screen readers: axe-core finds nothing serious on any page."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from .pages import enter, message, say

AXE = Path(__file__).parent / "node_modules/axe-core/axe.min.js"
SERIOUS = ("serious", "critical")
PHONE = {"viewport": {"width": 390, "height": 844}}
LOOKS = [
    {},
    {"color_scheme": "dark"},
    PHONE,
    PHONE | {"color_scheme": "dark"},
]


@pytest.fixture(params=LOOKS, ids=["light", "dark", "phone", "dark phone"])
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


def test_an_empty_room_with_its_settings_open(ana):
    ana.goto("/rooms/")
    ana.get_by_label("New room").fill(f"Quiet {ana.viewport_size} {id(ana)}"[:50])
    ana.get_by_label("Private").check()
    ana.get_by_role("button", name="Make room").click()
    expect(ana.get_by_role("status").first).to_have_text("connected")
    assert findings(ana) == []

    ana.get_by_role("button", name="Room settings").click()

    assert findings(ana) == []


def test_a_room_without_a_connection(ana):
    enter(ana)

    ana.context.set_offline(True)
    expect(ana.get_by_role("status").first).to_have_text("offline")

    assert findings(ana) == []


def test_the_list_of_rooms(ana):
    ana.goto("/rooms/")
    expect(ana.get_by_role("status").first).to_have_text("connected")

    assert findings(ana) == []


@pytest.mark.parametrize("address", ["/login/", "/rooms/none/"])
def test_pages_before_and_beside_the_rooms(page_of, tolerate, address):
    tolerate.append(r"404")
    page = page_of(None if address == "/login/" else "ana")
    page.goto(address)

    assert findings(page) == []
