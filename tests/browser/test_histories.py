"""A long history: the page keeps a window on it, and what is read stays in place."""

import re

import pytest
from playwright.sync_api import expect

from .pages import enter, message, say, texts
from .seeds import Seeds

MANY = 1500  # messages of the room
KEPT = 300  # messages on the page
ASKED, ANSWERED = f"are you {MANY + 1}?", f"no, {MANY + 2}"


@pytest.fixture(scope="module")
def long_room(server):
    """A room with many messages of bruno's, numbered from 1."""
    with Seeds(server) as seeds:
        return seeds.room_with("long", MANY, "bruno")


@pytest.fixture
def ana(page_of, long_room):
    page = page_of("ana")
    enter(page, long_room)
    expect(message(page, f"message {MANY}")).to_have_count(1)
    return page


def shown(page):
    """The numbers of the messages on the page, in their order."""
    return [int(re.search(r"\d+", text)[0]) for text in texts(page)]


def scroll(page, pixels):
    page.locator("#log").evaluate("(log, by) => log.scrollBy(0, by)", pixels)


def scroll_until(page, pixels, number):
    """Scroll as people do, until a message is on the page; return all numbers seen."""
    seen = set()
    for _ in range(3000):
        now = shown(page)
        assert now == list(range(now[0], now[0] + len(now)))  # no gap, no disorder
        assert len(now) <= KEPT + 50
        seen.update(now)
        if number in now:
            return seen
        scroll(page, pixels)
        page.evaluate("() => new Promise(requestAnimationFrame)")
    raise AssertionError(f"message {number} was not reached")


def memory(page):
    """Bytes of the page's heap and its nodes, once what is not needed is gone."""
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable")
    client.send("HeapProfiler.collectGarbage")
    metrics = client.send("Performance.getMetrics")["metrics"]
    found = {one["name"]: one["value"] for one in metrics}
    client.detach()
    return found["JSHeapUsedSize"], found["Nodes"]


def test_scrolling_back_and_forth_shows_all_and_keeps_the_page_small(ana):
    scroll_until(ana, -2000, MANY - KEPT)
    heap, nodes = memory(ana)

    assert scroll_until(ana, -2000, 1) >= set(range(1, MANY - KEPT))
    assert scroll_until(ana, 2000, MANY) >= set(range(1, MANY + 1))

    heap_after, nodes_after = memory(ana)
    assert heap_after < 1.5 * heap + 2e6
    assert nodes_after < 1.5 * nodes + 2000


def test_what_is_read_stays_where_it_is_while_pages_come_and_go(ana):
    scroll_until(ana, -2000, MANY - 400)
    for pixels in (-300, 300):
        for _ in range(25):
            before = ana.evaluate(READ)
            scroll(ana, pixels)
            ana.evaluate("() => new Promise(requestAnimationFrame)")
            after = ana.evaluate("number => globalThis.topOf(number)", before["number"])
            # It moved as far as was scrolled, however many came and went above it.
            assert after is not None
            assert abs(before["top"] - after - pixels) <= 2


READ = """() => {
  const log = document.getElementById("log");
  const middle = log.getBoundingClientRect().top + log.clientHeight / 2;
  const all = [...document.querySelectorAll("#messages .message")];
  globalThis.topOf = (number) => {
    const found = [...document.querySelectorAll("#messages .message")].find(
      (element) => element.querySelector(".text").textContent === `message ${number}`);
    return found ? found.getBoundingClientRect().top : null;
  };
  const read = all.find((element) => element.getBoundingClientRect().bottom > middle);
  const number = Number(read.querySelector(".text").textContent.match(/\\d+/)[0]);
  return { number, top: read.getBoundingClientRect().top };
}"""


def test_what_is_said_meanwhile_is_counted_and_the_button_leads_to_it(
    ana, page_of, long_room
):
    bruno = page_of("bruno")
    enter(bruno, long_room)
    scroll_until(ana, -2000, MANY - 500)
    top = shown(ana)[0]

    say(bruno, ASKED)

    button = ana.get_by_role("button", name="1 new message")
    expect(button).to_be_visible()
    expect(message(ana, ASKED)).to_have_count(0)
    assert shown(ana)[0] == top
    button.click()
    expect(message(ana, ASKED)).to_be_in_viewport()
    expect(ana.get_by_role("separator", name="new")).to_be_visible()

    scroll_until(ana, -2000, MANY - 500)
    say(ana, ANSWERED)
    expect(message(ana, ANSWERED)).to_be_in_viewport()
    assert texts(ana)[-2:] == [ASKED, ANSWERED]


def test_a_search_leads_to_a_message_and_the_keyboard_with_it(ana):
    ana.keyboard.press("Control+k")
    ana.get_by_role("searchbox").fill("MESSAGE 12")
    ana.keyboard.press("Enter")

    search = ana.get_by_role("region", name="Search in this room")
    results = search.get_by_role("listitem")
    expect(results).to_have_count(50)  # of 12, 120 to 129, and 1200 to 1299
    search.get_by_role("button", name="Show older ones").click()
    expect(results).to_have_count(100)
    search.get_by_role("button", name="Show older ones").click()
    expect(results).to_have_count(111)
    expect(results.last).to_contain_text("message 12")
    expect(results.last.locator("mark")).to_have_text("message 12")
    results.last.get_by_role("button").click()

    expect(search).to_be_hidden()
    expect(message(ana, "message 12")).to_be_in_viewport()
    focused = ana.locator(":focus .text")
    expect(focused).to_have_text("message 12")
    assert scroll_until(ana, 2000, 400) >= set(range(12, 401))
    # The message is not on the page any more; the keyboard is where it was.
    expect(ana.locator("#log")).to_be_focused()


def test_a_search_says_what_is_wrong(ana):
    ana.get_by_role("button", name="Search in this room").click()
    field = ana.get_by_role("searchbox")
    note = ana.locator("#search [role=status]")
    expect(note).to_have_text("Type what to look for, then press Enter.")

    field.fill("no such thing")
    ana.keyboard.press("Enter")
    expect(note).to_have_text(
        "Nothing here has “no such thing” in it. Try another word."
    )

    ana.context.set_offline(True)
    expect(ana.locator("#state")).to_have_text("offline")
    ana.keyboard.press("Enter")
    expect(note).to_have_text("Not connected; search again when the room is.")

    ana.keyboard.press("Escape")
    expect(field).to_be_hidden()
    expect(ana.get_by_role("button", name="Search in this room")).to_be_focused()
