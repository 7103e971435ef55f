"""Narrow screens: nothing sticks out to the side."""

import pytest
from playwright.sync_api import expect

from .pages import enter, follow, live_rows, message, say, sideways, watch

PHONE = {"width": 390, "height": 844}
LONG = "an-unbroken-word-of-three-hundred-letters-" * 7

phones = pytest.mark.parametrize("scheme", ["light", "dark"])


@phones
def test_the_chat_fits_a_phone(page_of, room, scheme):
    visitor = page_of(viewport=PHONE, color_scheme=scheme)
    ana = page_of("ana", viewport=PHONE, color_scheme=scheme, has_touch=True)

    visitor.goto("/login/")
    enter(ana, room)
    say(ana, LONG)
    expect(message(ana, LONG)).to_have_count(1)

    assert sideways(visitor) <= 0
    assert sideways(ana) <= 0
    field = ana.get_by_role("textbox", name="Message to")
    expect(field).to_be_in_viewport()
    ana.get_by_role("button", name="Members").click()
    expect(ana.get_by_text("ana (you)")).to_be_in_viewport()
    ana.keyboard.press("Escape")
    expect(ana.get_by_text("ana (you)")).not_to_be_in_viewport()
    ana.goto("/rooms/")
    assert sideways(ana) <= 0


@phones
def test_the_monitor_fits_a_phone(page_of, crowd, room, scheme):
    [socket] = crowd.join(1, path=f"/ws/chat/{room}/")
    crowd.say(socket, LONG)
    olga = page_of("olga", viewport=PHONE, color_scheme=scheme)

    watch(olga)
    row = live_rows(olga, f"/ws/chat/{room}/")
    expect(row).to_have_count(1)

    assert sideways(olga) <= 0
    follow(olga, row, "ana")
    expect(olga.get_by_role("cell", name=LONG)).to_be_visible()
    assert sideways(olga) <= 0


@pytest.mark.parametrize("width", [1280, 390])
def test_the_table_of_limits_is_shown_whole(page_of, width):
    olga = page_of("olga", viewport={"width": width, "height": 844})
    watch(olga)

    box = olga.get_by_role("region", name="Limits").locator(".scroll")

    assert box.evaluate("box => box.scrollHeight - box.clientHeight") <= 0


@phones
def test_what_staff_want_kept_fits_a_phone(server, page_of, room, scheme):
    asked = {"kind": "path", "value": f"/ws/chat/{LONG}/", "minutes": 10}
    server.post("/admin/monitor/trace/add/", "olga", **asked, mebibytes=1)
    [(trace,)] = server.rows("SELECT max(id) FROM monitor_trace")
    olga = page_of("olga", viewport=PHONE, color_scheme=scheme)

    for path in (
        *("trace/", "trace/add/", f"trace/{trace}/change/", "gap/"),
        *("capturepolicy/", "capturepolicy/add/", f"event/?of_trace={trace}"),
    ):
        olga.goto(f"/admin/monitor/{path}")
        assert sideways(olga) <= 0, path
    watch(olga)
    assert sideways(olga) <= 0
