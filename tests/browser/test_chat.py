"""People talk with each other."""

import json
import re

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
# Write numbered messages as fast as a script can.
HURRY = """([name, count]) => {
  const field = document.getElementById("message");
  for (let number = 0; number < count; number++) {
    field.value = `${name} ${number}`;
    field.dispatchEvent(new Event("input"));
    field.form.requestSubmit();
  }
}"""
PHONE = {"width": 390, "height": 844}


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


@pytest.fixture
def between():
    """Put a function between a page and the server: `(socket, frame) -> whether the
    frame, which the page sent, goes on`."""

    def between(page, passes):
        def connected(socket):
            server = socket.connect_to_server()
            socket.on_message(
                lambda text: passes(socket, json.loads(text)) and server.send(text)
            )

        page.route_web_socket(re.compile("/ws/chat/"), connected)

    return between


def say_goodbye(socket, code, reason):
    """Close a socket as the server does."""
    socket.send(json.dumps({"type": "bye", "code": code, "reason": reason}))
    socket.close(code=code, reason=reason)


def refuse(socket, frame):
    """Refuse a message as the server does; let other frames pass."""
    if "message" not in frame:
        return True
    error = {"type": "error", "code": "bad-text", "detail": "It is not good enough."}
    socket.send(json.dumps(error | {"client_id": frame["client_id"]}))
    return False


def told(seq, text):
    """A message of a history."""
    sent_at = "2026-11-22T10:02:00.123456Z"
    numbers = {"seq": seq, "rev": seq, "sent_at": sent_at}
    return {"text": text, "room": "lobby", "user": "bruno", **numbers}


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
    expect(ana.locator("#messages").get_by_text("number 49.")).to_be_visible()

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


def test_what_was_not_sent_goes_out_once_after_a_reload(server, page_of, room, between):
    ana = page_of("ana")
    lost = []
    is_lost = True

    def passes(_, frame):
        if "message" in frame and is_lost:
            lost.append(frame)
        return "message" not in frame or not is_lost

    between(ana, passes)
    enter(ana, room)
    say(ana, "first")
    say(ana, "second")
    assert eventually(lambda: lost)
    ana.reload()
    expect_connected(ana)
    expect(ana.locator("#pending .text")).to_have_text(["first", "second"])
    assert eventually(lambda: len(lost) == 2)
    assert lost[0] == lost[1]

    is_lost = False
    ana.reload()

    expect(message(ana, "second")).to_have_count(1)
    assert texts(ana) == ["first", "second"]
    expect(ana.locator("#pending > *")).to_have_count(0)
    assert ana.evaluate("sessionStorage.length") == 0
    ana.reload()
    expect_connected(ana)
    assert texts(ana) == ["first", "second"]


def test_a_page_without_storage_works(page_of, room):
    ana = page_of("ana")
    ana.add_init_script(
        "Storage.prototype.setItem = Storage.prototype.getItem = () => {"
        " throw new DOMException('full', 'QuotaExceededError'); };"
    )
    enter(ana, room)

    say(ana, "hola")

    expect(message(ana, "hola")).to_have_count(1)


def test_two_tabs_that_write_as_fast_as_they_can_share_the_rate(server_with, page_of):
    server = server_with(CHAT_RATE="5")
    tabs = [page_of("ana", at=server), page_of("ana", at=server)]
    farewells = []
    for tab in tabs:
        tab.on(
            "websocket",
            lambda socket: socket.on(
                "framereceived",
                lambda frame: '"bye"' in frame and farewells.append(frame),
            ),
        )
        enter(tab)

    for name, tab in zip(("left", "right"), tabs, strict=True):
        tab.evaluate(HURRY, [name, 20])

    said = {f"{name} {number}" for name in ("left", "right") for number in range(20)}
    for tab in tabs:
        expect(tab.locator("#messages .text")).to_have_count(40, timeout=60_000)
        assert set(texts(tab)) == said
    assert not farewells


def test_all_messages_that_are_paced_say_that_they_wait(server_with, page_of):
    bruno = page_of("bruno", at=server_with(CHAT_RATE="5"))
    enter(bruno)

    bruno.evaluate(HURRY, ["quick", 20])

    assert bruno.get_by_text("you write faster than the room takes").count() >= 10
    expect(bruno.locator("#pending > *")).to_have_count(0)


def test_a_refused_message_is_in_view_on_a_phone_and_announced(page_of, room, between):
    ana = page_of("ana", viewport=PHONE)
    between(ana, lambda socket, frame: "fine" in str(frame) or refuse(socket, frame))
    enter(ana, room)
    for number in range(20):
        say(ana, f"fine {number}")
    expect(message(ana, "fine 19")).to_be_visible()

    say(ana, "refused")

    expect(ana.locator("#unsent")).to_have_text("Not sent: It is not good enough.")
    for name in ("Try again", "Edit", "Discard"):
        button = ana.get_by_role("button", name=name, exact=True)
        expect(button).to_be_in_viewport(ratio=1)
        button.click(trial=True)
    ana.get_by_role("button", name="Discard").click()
    expect(ana.locator("#unsent")).to_be_empty()
    expect(ana.locator("#pending > *")).to_have_count(0)


def test_a_refused_message_that_is_taken_up_ends_an_edit(page_of, room, between):
    ana = page_of("ana")
    between(ana, lambda socket, frame: "fine" in str(frame) or refuse(socket, frame))
    enter(ana, room)
    say(ana, "fine")
    expect(message(ana, "fine")).to_have_count(1)
    say(ana, "refused")
    field = ana.get_by_role("textbox", name="Message to")
    field.press("ArrowUp")
    expect(field).to_have_value("fine")

    ana.get_by_role("button", name="Edit", exact=True).last.click()

    expect(field).to_have_value("refused")
    expect(ana.get_by_text("Editing your message of")).to_be_hidden()


def test_a_page_that_is_kept_out_says_that_it_is_not_connected(page_of):
    ana = page_of("ana")
    ana.route_web_socket(
        re.compile("/ws/chat/"), lambda socket: say_goodbye(socket, 4404, "No room.")
    )

    ana.goto("/rooms/lobby/")

    expect(ana.locator("#log-start")).to_have_text("Not connected.")
    expect(ana.locator("#members-note")).to_have_text("Not connected.")
    expect(ana.locator("#member-count")).to_be_empty()


def test_after_the_last_close_messages_say_so_and_can_be_edited_and_discarded(
    page_of, room
):
    ana = page_of("ana")
    sockets = []

    def connected(socket):
        socket.connect_to_server()
        sockets.append(socket)

    ana.route_web_socket(re.compile("/ws/chat/"), connected)
    enter(ana, room)

    say_goodbye(sockets[0], 4403, "That is enough.")
    expect(ana.get_by_text("Disconnected: That is enough.")).to_be_visible()
    for text in ("one", "two", "three"):
        say(ana, text)

    fates = ana.locator("#pending .fate").get_by_text("not sent: the connection")
    expect(fates).to_have_count(3)
    ana.get_by_role("button", name="Discard").first.click()
    ana.get_by_role("button", name="Edit", exact=True).first.click()
    expect(ana.get_by_role("textbox", name="Message to")).to_have_value("two")
    expect(ana.locator("#pending .text")).to_have_text(["three"])
    ana.get_by_role("button", name="Connect again").click()
    expect(message(ana, "three")).to_have_count(1)


def test_a_page_loads_the_history_anew_if_the_room_never_had_what_it_shows(page_of):
    ana = page_of("ana")
    sockets = []

    def connected(socket):
        sockets.append(socket)
        rev = 5 if len(sockets) == 1 else 9
        history = {"type": "history", "messages": [told(5, "gone")], "more": False}
        socket.on_message(lambda text: answer(socket, json.loads(text)))
        socket.send(json.dumps(history | {"rev": rev}))

    def answer(socket, frame):
        if frame["type"] == "resume":
            resumed = {"type": "resumed", "messages": [], "rev": 3, "more": False}
            socket.send(json.dumps(resumed))
        elif frame["type"] == "history":
            history = {"type": "history", "messages": [told(3, "restored")]}
            where = {"before": frame["before"], "more": False}
            socket.send(json.dumps(history | where))

    ana.route_web_socket(re.compile("/ws/chat/"), connected)
    enter(ana)
    assert texts(ana) == ["gone"]

    sockets[0].close(code=4012)

    expect(message(ana, "restored")).to_have_count(1)
    assert texts(ana) == ["restored"]
