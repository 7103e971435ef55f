"""What people do on the pages, and where they look."""

import re
import time

from playwright.sync_api import expect

DASHBOARD = "/admin/monitor/live/"
# How far somebody has read in a room: `server.rows(READ, slug, username)`.
READ = """SELECT read_seq FROM chat_membership place
    JOIN chat_room room ON room.id = room_id JOIN auth_user who ON who.id = user_id
    WHERE room.slug = ? AND who.username = ?"""

# The chat ----------------------------------------------------------------------------


def enter(page, slug="lobby"):
    """Go into a room, and wait until it is connected."""
    page.goto(f"/rooms/{slug}/")
    expect_connected(page)


def expect_connected(page, timeout=None):
    """Wait until a room is connected."""
    expect(page.get_by_role("status")).to_have_text("connected", timeout=timeout)


def say(page, text):
    """Write a message into a room, and send it with the keyboard."""
    page.get_by_role("textbox", name="Message to").fill(text)
    page.keyboard.press("Enter")


def message(page, text):
    """A message with this text among those of the room."""
    return page.locator("#messages .text").get_by_text(text, exact=True)


def texts(page):
    """The texts of all messages of a room, in their order on the page."""
    return page.locator("#messages .text").all_inner_texts()


# The dashboard -----------------------------------------------------------------------


def watch(page):
    """Open the dashboard, and wait until it is live."""
    page.goto(DASHBOARD)
    expect_state(page, "live")


def expect_state(page, state, timeout=None):
    """Wait until the dashboard is in a state: live, stale, offline or closed."""
    board = page.locator("#monitor-board")
    expect(board).to_have_attribute("data-state", state, timeout=timeout)


def live_rows(page, path=None):
    """The rows of the live connections, of one path if it is named."""
    rows = page.locator("#connections-rows tr")
    if path is None:
        return rows
    return rows.filter(has=page.locator("td.path").get_by_text(path, exact=True))


def feed_rows(page, text):
    """The rows of the feed with this text."""
    return page.locator("#feed-rows tr").filter(has_text=text)


def await_pushes(page, count=1):
    """Wait for so many signs of life from the server."""
    pulse = page.locator("#monitor-pulse")
    for _ in range(count):
        known = pulse.get_attribute("datetime") or ""
        expect(pulse).not_to_have_attribute("datetime", known)


def facts(page, title):
    """The names and values of one section of a connection's page."""
    section = page.get_by_role("region", name=title, exact=True)
    names = section.locator("dt").all_inner_texts()
    return dict(zip(names, section.locator("dd").all_inner_texts(), strict=True))


# Sockets and layout ------------------------------------------------------------------


def open_socket(page, path):
    """Open a websocket as a script of the page would; say whether, and its end."""
    return page.evaluate(
        """path => new Promise((resolve) => {
          const socket = new WebSocket(`ws://${location.host}${path}`);
          let opened = false;
          socket.onopen = () => { opened = true; socket.close(); };
          socket.onclose = ({ code }) => resolve({ opened, code });
        })""",
        path,
    )


def sideways(page):
    """How far the page can be scrolled sideways, in pixels."""
    return page.evaluate("document.scrollingElement.scrollWidth - innerWidth")


def connection_id(row):
    """The id of the connection that a row of the dashboard shows."""
    return re.sub("^connection-", "", row.get_attribute("id"))


def eventually(question, within=15):
    """Ask until the answer is true; return the last answer."""
    deadline = time.monotonic() + within
    while not (answer := question()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer


def follow(page, row, name):
    """Open a connection's page from its row in the dashboard.

    The viewer's own row comes above it, and would move it from under the pointer.
    """
    expect(live_rows(page, "/ws/monitor/")).not_to_have_count(0)
    row.get_by_role("link", name=name).click()
