"""Staff watch what happens, as it happens."""

import re

from playwright.sync_api import expect

from .pages import (
    await_pushes,
    enter,
    eventually,
    expect_state,
    feed_rows,
    live_rows,
    message,
    say,
    watch,
)

# The rows of a document: ids, and the text of each cell; of a clock what it counts
# from. Rates change with every second, so of the totals the counts only.
ROWS = """(root) => {
  const clock = "time:is([data-since], [data-until])";
  const told = (cell) => cell.querySelector(clock)?.dateTime
    ?? cell.textContent.trim();
  const rows = [...root.querySelectorAll("tbody[id$=-rows] > tr")]
    .map((row) => [row.id, ...[...row.cells].map(told)]);
  const totals = ["connections", "users", "cut", "lost", "gaps"]
    .map((name) => root.querySelector(`#totals-${name}`).textContent.trim());
  return [...rows, totals];
}"""
FRESH = f"""async () => {{
  const page = await (await fetch(location.href)).text();
  return ({ROWS})(new DOMParser().parseFromString(page, "text/html"));
}}"""


def test_a_connection_its_message_and_its_end_show_without_reloading(page_of, room):
    path = f"/ws/chat/{room}/"
    olga, ana = page_of("olga"), page_of("ana")
    watch(olga)
    olga.evaluate("window.sameDocument = true")

    enter(ana, room)
    row = live_rows(olga, path)
    expect(row).to_have_count(1)
    expect(row.get_by_role("link", name="ana")).to_be_visible()
    # What the page has seen, and that it wants the list of rooms.
    expect(row.locator("td.in")).to_have_text("2")
    say(ana, "does anybody read this?")
    expect(message(ana, "does anybody read this?")).to_have_count(1)

    expect(feed_rows(olga, "does anybody read this?")).to_have_count(1)
    expect(row.locator("td.in")).to_have_text(re.compile("[3-9]"))
    expect(row.locator("td.state")).to_have_text("● live")
    ana.close()
    expect(row).to_have_count(0)
    assert olga.evaluate("window.sameDocument") is True


def test_what_was_pushed_equals_a_fresh_page(page_of, crowd, room):
    olga = page_of("olga")
    watch(olga)
    first, *others = crowd.join(8, path=f"/ws/chat/{room}/")

    for number in range(30):
        crowd.say(first, f"number {number}")
    crowd.leave(others[::2])
    crowd.join(3, "bruno", path=f"/ws/chat/{room}/")

    expect(feed_rows(olga, "number 29")).to_have_count(1)
    expect(live_rows(olga, f"/ws/chat/{room}/")).to_have_count(7)
    # Both may be on their way to something newer; but they must meet.
    shown, fresh = [], None

    def equal():
        nonlocal shown, fresh
        fresh = olga.evaluate(FRESH)
        shown = olga.evaluate(f"({ROWS})(document)")
        return shown == fresh

    eventually(equal)
    assert shown == fresh
    assert len(shown) > 30


def test_200_live_rows_leave_focus_choice_selection_and_place_alone(
    page_of, crowd, room
):
    olga = page_of("olga")
    path = f"/ws/chat/{room}/"
    oldest = crowd.join(20, path=path)
    middle = crowd.join(160, path=path)
    newest = crowd.join(20, path=path)
    watch(olga)
    expect(live_rows(olga, path)).to_have_count(200)
    row = live_rows(olga, path).nth(100)
    row.scroll_into_view_if_needed()
    row.get_by_role("checkbox").check()
    row.get_by_role("checkbox").focus()
    row.locator("td.path .cell").evaluate(
        "cell => getSelection().selectAllChildren(cell)"
    )
    place = """() => {
      const box = document.activeElement;
      const frame = box.closest(".scroll");
      return {
        focused: box === window.chosen,
        checked: box.checked,
        selected: String(getSelection()).trim(),
        scrolled: frame.scrollTop > 0,
        top: box.getBoundingClientRect().top - frame.getBoundingClientRect().top,
      };
    }"""
    olga.evaluate("window.chosen = document.activeElement")
    before = olga.evaluate(place)

    for number in range(3):
        crowd.say(middle[number], f"on and on {number}")
    crowd.leave(oldest)
    crowd.leave(newest)
    crowd.join(10, "bruno", path=path)

    expect(live_rows(olga, path)).to_have_count(170)
    expect(feed_rows(olga, "on and on 2")).to_have_count(1)
    # Each of the messages went out to all: the row's own cells changed.
    expect(row.first.locator("td.out")).not_to_have_text("1")
    after = olga.evaluate(place)
    assert before.pop("top") - after.pop("top") in range(-1, 2)
    expected = {"focused": True, "checked": True, "selected": path, "scrolled": True}
    assert before == after == expected
    expect(olga.locator("#disconnect-chosen")).to_have_text("Disconnect (1)")


def test_a_paused_feed_stands_still_and_then_brings_what_was_missed(
    page_of, crowd, room
):
    olga = page_of("olga")
    watch(olga)
    [socket] = crowd.join(1, path=f"/ws/chat/{room}/")
    row = live_rows(olga, f"/ws/chat/{room}/")
    expect(row.locator("td.in")).to_have_text("0")

    olga.get_by_role("button", name="Pause").click()
    await_pushes(olga, 2)
    crowd.say(socket, "said in the pause")
    expect(row.locator("td.in")).to_have_text("1")
    await_pushes(olga)

    expect(feed_rows(olga, "said in the pause")).to_have_count(0)
    olga.get_by_role("button", name="Go on").click()
    expect(feed_rows(olga, "said in the pause")).to_have_count(1)
    expect(olga.get_by_role("button", name="Pause")).to_be_visible()


def test_an_idle_dashboard_stays_live_and_its_clocks_run(page_of):
    olga = page_of("olga")
    watch(olga)
    clock = live_rows(olga, "/ws/monitor/").locator("td.since time").first
    shown = clock.inner_text()

    await_pushes(olga, 2)

    expect_state(olga, "live")
    expect(clock).not_to_have_text(shown)
