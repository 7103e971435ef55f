"""What happens while somebody writes: others see it, and nothing of it is lost."""

import pytest
from playwright.sync_api import expect

from .pages import READ, enter, eventually, message, say

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


def offered(page):
    """The names that the field offers."""
    return page.get_by_role("listbox", name="People to mention").get_by_role("option")


def test_names_are_offered_after_an_at_and_taken_by_enter(both):
    ana, bruno = both
    expect(ana.locator("#members .member")).to_have_count(2)

    field(ana).press_sequentially("look @RUN")
    expect(offered(ana)).to_have_text(["bruno"])
    field(ana).press("Enter")
    expect(field(ana)).to_have_value("look @bruno ")
    expect(offered(ana)).to_have_count(0)
    field(ana).press_sequentially("here")
    field(ana).press("Enter")

    expect(bruno.locator("#messages mark")).to_have_text("@bruno")


def test_names_are_chosen_by_arrows_in_the_middle_of_a_text(
    both, page_of, room, server
):
    ana, bruno = both
    say(ana, "who reads this belongs to the room")
    assert eventually(lambda: server.rows(READ, room, "ana"))
    enter(page_of("olga"), room)
    enter(ana, "lobby")
    expect(bruno.locator("#away .member")).to_have_count(1)

    field(bruno).fill("ask  today")
    for _ in " today":
        field(bruno).press("ArrowLeft")
    field(bruno).press_sequentially("@")
    names = offered(bruno)
    expect(names).to_have_text(["olga", "ana away"])
    expect(names.and_(bruno.locator("[aria-selected=true]"))).to_have_count(0)
    field(bruno).press("ArrowUp")
    last = names.last.get_attribute("id")
    expect(field(bruno)).to_have_attribute("aria-activedescendant", last)
    field(bruno).press("Tab")

    expect(field(bruno)).to_have_value("ask @ana today")
    field(bruno).press_sequentially("not ")
    expect(field(bruno)).to_have_value("ask @ana not today")


def test_a_name_that_was_taken_can_be_taken_back(both):
    ana, _ = both
    expect(ana.locator("#members .member")).to_have_count(2)
    field(ana).press_sequentially("look @br")
    field(ana).press("Enter")
    expect(field(ana)).to_have_value("look @bruno ")

    field(ana).press("Control+z")

    expect(field(ana)).to_have_value("look @br")


def test_who_only_moves_in_a_text_is_offered_no_names(both):
    ana, bruno = both
    expect(ana.locator("#members .member")).to_have_count(2)

    field(ana).press_sequentially("hi @bruno")
    field(ana).press("ArrowLeft")
    field(ana).press("ArrowLeft")
    expect(offered(ana)).to_have_count(0)
    field(ana).press_sequentially("u")  # in the middle of a name
    field(ana).press("Enter")

    expect(message(bruno, "hi @bruuno")).to_have_count(1)


@pytest.mark.parametrize("text", ["look, @bruno", "I am @", "me@bruno", "@nobody"])
def test_enter_sends_what_wants_no_name(both, text):
    ana, bruno = both
    expect(ana.locator("#members .member")).to_have_count(2)

    field(ana).press_sequentially(text)
    field(ana).press("Enter")

    expect(message(bruno, text)).to_have_count(1)


def test_escape_declines_names_before_it_ends_an_edit(both):
    ana, bruno = both
    expect(ana.locator("#members .member")).to_have_count(2)
    say(ana, "hola")
    expect(message(ana, "hola")).to_have_count(1)
    field(ana).press("ArrowUp")
    field(ana).press_sequentially(" @b")
    expect(offered(ana)).to_have_count(1)

    field(ana).press("Escape")
    expect(offered(ana)).to_have_count(0)
    field(ana).press_sequentially("r")
    expect(field(ana)).to_have_value("hola @br")
    expect(offered(ana)).to_have_count(0)
    field(ana).press("Escape")

    expect(field(ana)).to_have_value("")


def test_a_name_is_taken_by_touch(page_of, room):
    ana, bruno = page_of("ana", has_touch=True, is_mobile=True), page_of("bruno")
    enter(ana, room)
    enter(bruno, room)
    expect(ana.locator("#member-count")).to_have_text("2")

    field(ana).press_sequentially("@")
    offered(ana).get_by_text("bruno").tap()

    expect(field(ana)).to_have_value("@bruno ")
    expect(field(ana)).to_be_focused()
