"""Pictures of all pages: `python -m tests.browser.shots OUTPUT_DIR`.

In light and dark, 1280 and 390 pixels wide, with little data and with much. For people
to look at; a test could not say what is ugly.
"""

import argparse
import itertools
import tempfile
import uuid
from functools import partial
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.server import Server

from . import chromium
from .crowd import Crowd
from .pages import DASHBOARD, enter, eventually, live_rows, message, say, watch
from .seeds import LONG, Seeds, ago

SIZES = {1280: 800, 390: 844}
SCHEMES = ("light", "dark")
ROOMS = [
    "Design",
    "Support",
    "Release 2026.11",
    "A room whose name is as long as names of rooms are",
]
TALK = [
    ("ana", "hola, did the deploy go out?"),
    ("bruno", "it is green here: https://ci.example.org/runs/4711?tab=log."),
    ("bruno", "took 4 minutes"),
    ("ana", "¡qué bien! Then I close the ticket.\nTwo lines, by the way."),
    ("olga", "Who restarts the worker? The queue grows, and the graph shows it since "
     "about ten o'clock, when the second host went away for maintenance and nobody "
     "told the first one that it would be alone for the rest of the morning."),
    ("bruno", "me, in a minute"),
    ("ana", "0123456789abcdef" * 20),
    ("bruno", "\n".join(f"line {number} of a long log" for number in range(40))),
    ("olga", "👍"),
]  # fmt: skip


class Photographer:
    """Opens pages in every size and scheme, and takes their pictures."""

    def __init__(self, browser, server, directory, only=""):
        self.browser = browser
        self.server = server
        self.directory = directory
        self.only = tuple(only.split(","))  # starts of names

    def take(self, name, user, visit, whole=True, needed=False):
        """Take pictures of what `visit(page)` opens; `whole` also below the fold.

        Later ones show what a `needed` visit does, so it is made in any case.
        """
        looks = list(itertools.product(SIZES, SCHEMES))
        wanted = name.startswith(self.only)
        for width, scheme in looks if wanted else looks[:needed]:
            context = chromium.context_of(
                self.browser,
                self.server,
                user,
                viewport={"width": width, "height": SIZES[width]},
                color_scheme=scheme,
                reduced_motion="reduce",
            )
            page = context.new_page()
            visit(page)
            if wanted:
                page.wait_for_timeout(400)
                path = self.directory / f"{name}-{width}-{scheme}.png"
                page.screenshot(path=path, full_page=whole)
                print(path)
            context.close()


def goes_to(path):
    """A visit of one address."""
    return lambda page: page.goto(path)


def take_all(browser, server, directory, only):
    """Take the pictures, from the empty installation to the broken connection."""
    photographer = Photographer(browser, server, directory, only)
    take = photographer.take

    take("login", None, goes_to("/login/"))
    take("login-error", None, fail_to_log_in)
    take("rooms-little", "ana", goes_to("/rooms/"))
    take("room-empty", "ana", enter, whole=False)
    take("dashboard-little", "olga", watch)
    take("forbidden", "ana", goes_to(DASHBOARD))
    take("not-found", "ana", goes_to("/nowhere/"))
    take("admin", "olga", goes_to("/admin/"))

    with Crowd(server) as crowd:
        tell(server, crowd)
        take("dashboard-some", "olga", watch)
        take("dashboard-viewer", "vera", watch)
        take("connection-live", "olga", open_connection)
        take_orders(server, crowd, take)
        take("rooms-busy", "ana", goes_to("/rooms/"))
        take("room-busy", "ana", enter, whole=False)
        take("room-drawers", "ana", open_drawers, whole=False)
        take("room-names", "ana", begin_a_name, whole=False)
        crowd.join(100, "ana")
        crowd.join(97, "bruno", "/ws/chat/design/")
        take("dashboard-200", "olga", watch_200)
        leaves = partial(disconnected, server)
        take("room-disconnected", "bruno", leaves, needed=True)
    take("connection-closed", "olga", lambda page: open_closed(server, page))
    for name in ("connection", "event", "action"):
        take(f"admin-{name}s", "olga", goes_to(f"/admin/monitor/{name}/"))
    take("admin-event", "olga", lambda page: open_event(page, "receive"))

    take("room-offline", "ana", lost(server, enter), whole=False)
    take("dashboard-offline", "olga", lost(server, watch), whole=False)


def take_orders(server, crowd, take):
    """Traces, capture policies and losses: first little, then much."""
    admin = "/admin/monitor"
    take("trace-add", "olga", goes_to(f"{admin}/trace/add/"))
    take("trace-add-error", "olga", fail_to_trace)
    take("policies-empty", "olga", goes_to(f"{admin}/capturepolicy/"))
    take("policy-add", "olga", goes_to(f"{admin}/capturepolicy/add/"))
    number, spoken = trace_the_lobby(server, crowd)
    page = f"{DASHBOARD}{spoken}/"
    take("dashboard-trace", "olga", watch)
    take("trace", "olga", goes_to(f"{admin}/trace/{number}/change/"))
    messages = f"{admin}/event/?of_trace={number}"
    take("trace-messages", "olga", goes_to(messages))
    take("trace-messages-viewer", "vera", goes_to(messages))
    with Seeds(server) as seeds:
        seeds.traces(30)
        seeds.losses(12)
        mishaps = seeds.mishaps()
        seeds.insert("capturepolicy", pattern=LONG[:250], level="off", changed_at=ago())
        seeds.insert("capturepolicy", pattern="/ws/*", level="full", changed_at=ago())
    take("dashboard-losses", "olga", watch)
    take("dashboard-losses-viewer", "vera", watch)
    take("connection-mishaps", "olga", goes_to(f"{DASHBOARD}{mishaps}/"))
    take("connection-mishaps-viewer", "vera", goes_to(f"{DASHBOARD}{mishaps}/"))
    take("connection-traced", "olga", goes_to(page))
    take("admin-error", "olga", lambda page: open_event(page, "error"))
    for name in ("trace", "gap", "capturepolicy"):
        take(f"admin-{name}s", "olga", goes_to(f"{admin}/{name}/"))


def trace_the_lobby(server, crowd):
    """Trace a path by its connection's page; return the trace's and that one's id."""
    newest = "SELECT id FROM monitor_connection WHERE path = '/ws/chat/' LIMIT 1"
    connection = uuid.UUID(server.rows(newest)[0][0])
    server.post(
        f"{DASHBOARD}{connection}/trace/",
        "olga",
        f"{DASHBOARD}{connection}/",
        **{"kind": "path", "minutes": 60, "mebibytes": 10},
    )
    messages = "SELECT trace_id FROM monitor_event WHERE kind = 'send'"
    [socket] = crowd.join(1, "ana")
    eventually(lambda: crowd.say(socket, "Is this kept?") or server.rows(messages))
    for text in (LONG, "short", "line\n" * 12, "👍"):
        crowd.say(socket, text)
    eventually(lambda: len(server.rows(messages)) > 20, within=5)
    return server.rows(messages)[0][0], connection


def fail_to_trace(page):
    page.goto("/admin/monitor/trace/add/")
    page.get_by_label("What is to be traced").select_option("client")
    page.get_by_label("Which one").fill("not an address")
    page.get_by_label("minutes").fill("1441")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("at most 24 hours (").wait_for()


def tell(server, crowd):
    """Make rooms, and a talk in the lobby."""
    for name in ROOMS:
        server.post("/rooms/", "ana", name=name)
    sockets = {user: crowd.join(1, user)[0] for user in ("ana", "bruno", "olga")}
    [design] = crowd.join(1, "bruno", "/ws/chat/design/")
    crowd.say(design, "The new icons are in.")
    for user, text in TALK * 8:
        heard = len(crowd.heard)
        crowd.say(sockets[user], text)
        eventually(lambda heard=heard: len(crowd.heard) >= heard + len(sockets))


def fail_to_log_in(page):
    page.goto("/login/")
    page.get_by_label("User name").fill("ana")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("alert").wait_for()


def open_drawers(page):
    enter(page)
    if page.viewport_size["width"] < 500:
        page.get_by_role("button", name="Members").click()
    page.get_by_text("My connection", exact=True).click()
    page.get_by_text("Session began").wait_for()


def begin_a_name(page):
    enter(page)
    page.get_by_role("textbox", name="Message to").press_sequentially("Good, @")
    page.keyboard.press("ArrowDown")
    page.get_by_role("option", selected=True).wait_for()


def watch_200(page):
    watch(page)
    expect(live_rows(page)).not_to_have_count(100)
    boxes = page.get_by_role("checkbox")
    boxes.nth(2).check()
    boxes.nth(3).check()


def open_connection(page):
    watch(page)
    live_rows(page, "/ws/chat/").last.get_by_role("link").first.click()
    page.get_by_role("heading", name="Scope").wait_for()


def disconnected(server, page):
    enter(page, "support")
    say(page, "Somebody will not like this.")
    expect(message(page, "Somebody will not like this.").last).to_be_visible()
    newest = "SELECT id FROM monitor_connection ORDER BY opened_at DESC LIMIT 1"
    server.post(
        f"{DASHBOARD}disconnect/",
        "olga",
        DASHBOARD,
        connection=server.rows(newest)[0][0],
        reason="Please be kind to the others in this room.",
    )
    page.get_by_role("alert").get_by_text("Please be kind").wait_for()


def open_closed(server, page):
    newest = "SELECT connection_id FROM monitor_action ORDER BY asked_at DESC LIMIT 1"
    page.goto(f"{DASHBOARD}{uuid.UUID(server.rows(newest)[0][0])}/")


def open_event(page, kind):
    page.goto(f"/admin/monitor/event/?kind__exact={kind}")
    page.locator("#result_list tbody a").first.click()


def lost(server, visit):
    """A visit during which the server dies."""

    def visit_and_lose(page):
        if server.process.poll() is not None:
            server.start()
        visit(page)
        server.kill()
        if visit is enter:
            page.get_by_text("Connection lost.").wait_for()
            say(page, "Does this go out?")
        else:
            page.get_by_text("reconnecting").wait_for()

    return visit_and_lose


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--only", default="", help="starts of names of pictures")
    arguments = parser.parse_args()
    directory = arguments.output
    directory.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as data,
        Server(
            Path(data) / "data", CHAT_RATE="1000", CHAT_MAX_CONNECTIONS="5000"
        ) as server,
        sync_playwright() as playwright,
    ):
        take_all(chromium.launch(playwright), server, directory, arguments.only)


if __name__ == "__main__":
    main()
