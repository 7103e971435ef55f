"""People talk with each other."""

import pytest
from playwright.sync_api import expect

from tests.server import PASSWORD

from .pages import (
    DASHBOARD,
    enter,
    eventually,
    expect_connected,
    live_rows,
    message,
    say,
    texts,
)

# As the contract writes them, for a person who types into the browser's console.
OPEN = (
    "s = new WebSocket('ws://' + window.location.host + '/ws/chat/'); "
    "s.onmessage = e => console.log(JSON.parse(e.data).message);"
)
SEND = "s.send(JSON.stringify({'message': 'hola'}))"


@pytest.fixture
def console(page_of):
    """Type lines into the console of a page, and collect what it prints."""

    class Console:
        def __init__(self, page):
            self.printed = []
            self.page = page
            self.session = page.context.new_cdp_session(page)
            page.on("console", lambda line: self.printed.append(line.text))

        def type(self, line):
            result = self.session.send(
                "Runtime.evaluate", {"expression": line, "replMode": True}
            )
            assert "exceptionDetails" not in result

    return Console


def test_a_login_leads_into_the_lobby(page_of):
    page = page_of()
    page.goto("/")

    page.get_by_label("User name").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()

    expect_connected(page)
    expect(page.get_by_role("heading", name="lobby")).to_be_visible()


def test_two_users_see_each_message_once_in_the_same_order_and_after_a_reload(page_of):
    ana, bruno = page_of("ana"), page_of("bruno")
    enter(ana)
    enter(bruno)
    before = texts(ana)

    said = ["hola bruno", "hola ana", "¿qué tal? <b>&amp;</b>", "two\nlines"]
    for speaker, text in zip([ana, bruno, ana, bruno], said, strict=True):
        field = speaker.get_by_role("textbox", name="Message to")
        field.fill(text)
        field.press("Enter")
        expect(message(ana, text)).to_have_count(1)
        expect(message(bruno, text)).to_have_count(1)

    assert texts(ana) == texts(bruno) == [*before, *said]
    ana.reload()
    expect(message(ana, said[-1])).to_have_count(1)
    assert texts(ana) == texts(bruno)


def test_members_come_and_go(page_of, room):
    ana, bruno = page_of("ana"), page_of("bruno")
    enter(ana, room)
    here = ana.get_by_label("Members and connection").get_by_role("list").first

    enter(bruno, room)
    expect(here.get_by_role("listitem")).to_have_text(["ana (you)", "bruno"])
    bruno.close()

    expect(here.get_by_role("listitem")).to_have_text(["ana (you)"])


def test_a_room_full_of_the_longest_messages_can_be_entered_and_read(
    page_of, crowd, room
):
    [socket] = crowd.join(1, path=f"/ws/chat/{room}/")
    for number in range(50):  # a page of history, three bytes for each character
        crowd.say(socket, f"number {number}. " + "漢" * 3980)
    assert eventually(lambda: len(crowd.heard) == 50)

    ana = page_of("ana")
    enter(ana, room)
    expect(ana.get_by_text("number 49.")).to_be_visible()

    def first_is_reached():
        ana.locator("#messages .text").first.scroll_into_view_if_needed()
        return ana.get_by_text("number 0.").count() == 1

    assert eventually(first_is_reached)


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_the_console_lines_work_as_written(server_with, page_of, console, kind):
    server = server_with(SERVER=kind)
    page = page_of("ana", at=server)
    page.goto("/rooms/")
    devtools = console(page)

    with page.expect_console_message():  # the history: the socket is open
        devtools.type(OPEN)
    with page.expect_console_message(lambda line: line.text == "hola"):
        devtools.type(SEND)

    assert devtools.printed.count("hola") == 1
    stored = server.rows("SELECT text, author_name FROM chat_message")
    assert stored == [("hola", "ana")]


def test_the_console_lines_work_in_the_admin_too(page_of, console):
    page = page_of("olga")
    page.goto("/admin/")
    devtools = console(page)

    with page.expect_console_message():
        devtools.type(OPEN)
    with page.expect_console_message(lambda line: line.text == "hola"):
        devtools.type(SEND)

    assert devtools.printed.count("hola") == 1


def test_my_connection_tells_what_is_known_but_never_the_session_key(server, page_of):
    page = page_of("ana")
    frames = []

    def keep(frame):
        frames.append(frame)

    page.on("websocket", lambda socket: socket.on("framereceived", keep))
    enter(page)

    page.get_by_text("My connection", exact=True).click()

    panel = page.locator("#my-connection")
    for name, value in {
        "User": "ana",
        "Path": "/ws/chat/lobby/",
        "Route arguments": "slug = lobby",
        "Cookies (names only)": "sessionid",
        "Server": server.host,
    }.items():
        term = panel.get_by_role("term").get_by_text(name, exact=True)
        expect(term.locator("+ dd")).to_contain_text(value)
    expect(panel).to_contain_text("Session began")
    expect(panel).to_contain_text("(in 14 days)")
    key = server.cookie("ana").removeprefix("sessionid=")
    assert key not in page.content()
    assert frames
    assert key not in str(frames)


def test_a_chat_without_the_monitor_works_and_says_what_it_cannot_know(
    server_with, page_of
):
    server = server_with(MONITOR_ENABLED="false")
    ana, bruno = page_of("ana", at=server), page_of("bruno", at=server)
    enter(ana)
    enter(bruno)

    say(ana, "is anybody watching?")
    expect(message(bruno, "is anybody watching?")).to_have_count(1)
    say(bruno, "nobody")
    expect(message(ana, "nobody")).to_have_count(1)

    expect(ana.get_by_text("Presence unavailable")).to_be_visible()
    ana.get_by_text("My connection", exact=True).click()
    expect(ana.locator("#my-connection")).to_contain_text("/ws/chat/lobby/")
    olga = page_of("olga", at=server)
    olga.goto(DASHBOARD)
    expect(olga.get_by_role("heading", name="Live connections")).to_be_visible()
    expect(live_rows(olga)).to_have_count(0)
    expect(olga.get_by_text("Nobody is connected.")).to_be_visible()
