"""What happens while somebody writes: others see it, and nothing of it is lost."""

import pytest
from playwright.sync_api import expect

from .pages import enter, eventually, message, say

FORBIDDEN = """for (const name of ["sessionStorage", "localStorage"])
  Object.defineProperty(window, name, { get() { throw new DOMException("no"); } });"""


def field(page):
    return page.get_by_role("textbox", name="Message to")


def test_others_see_that_somebody_writes_until_it_is_said(both):
    ana, bruno = both

    field(ana).press_sequentially("hola")
    expect(bruno.locator("#typing")).to_have_text("ana is typing…")
    expect(ana.locator("#typing")).to_have_text("")
    field(ana).press("Enter")

    expect(message(bruno, "hola")).to_have_count(1)
    expect(bruno.locator("#typing")).to_have_text("")


def test_who_stops_writing_is_forgotten(page_of, room):
    ana, bruno = page_of("ana"), page_of("bruno")
    bruno.clock.install()
    enter(ana, room)
    enter(bruno, room)
    field(ana).press_sequentially("ho")
    expect(bruno.locator("#typing")).to_have_text("ana is typing…")

    bruno.clock.fast_forward(5_000)

    expect(bruno.locator("#typing")).to_have_text("")


def test_signs_of_writing_are_three_seconds_apart(page_of, room):
    ana, sent = page_of("ana"), []
    ana.on(
        "websocket",
        lambda socket: socket.on(
            "framesent", lambda frame: sent.append(frame) if "typing" in frame else None
        ),
    )
    ana.clock.install()
    enter(ana, room)

    field(ana).press_sequentially("hola")
    ana.clock.fast_forward(2_900)
    field(ana).press_sequentially("hola")
    ana.clock.fast_forward(200)
    field(ana).press_sequentially("hola")
    say(ana, "that was it")
    expect(message(ana, "that was it")).to_have_count(1)
    assert sent == 2 * ['{"type":"typing"}']

    field(ana).press_sequentially("something new")
    eventually(lambda: len(sent) == 3)


def test_each_room_keeps_its_draft(page_of, room):
    ana = page_of("ana")
    enter(ana, room)
    field(ana).fill("half a thought")
    enter(ana, "lobby")
    expect(field(ana)).not_to_have_value("half a thought")

    enter(ana, room)
    expect(field(ana)).to_have_value("half a thought")
    field(ana).press("Enter")
    expect(message(ana, "half a thought")).to_have_count(1)
    ana.reload()

    expect(field(ana)).to_have_value("")


def test_where_storage_is_forbidden_the_room_works_without(page_of, room):
    ana = page_of("ana")
    ana.add_init_script(FORBIDDEN)
    enter(ana, room)

    say(ana, "hola")

    expect(message(ana, "hola")).to_have_count(1)


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("@bruno, look", ["@bruno"]),
        ("look, @bruno.", ["@bruno"]),
        ("(@bruno) and @bruno", ["@bruno", "@bruno"]),
        ("@brunonia and me@bruno and @ana", []),
        ("https://example.org/@bruno", []),
    ],
)
def test_a_mention_stands_out_for_whom_it_calls(both, text, marked):
    ana, bruno = both

    say(ana, text)

    said = bruno.locator("#messages .message", has_text=text)
    expect(said.locator("mark")).to_have_text(marked)
    expect(bruno.locator("#messages .calls")).to_have_count(1 if marked else 0)
    expect(ana.locator("#messages mark", has_text="@bruno")).to_have_count(0)
