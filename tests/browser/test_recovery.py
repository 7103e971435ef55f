"""Servers freeze, die and come back, and the pages tell the truth about it."""

import json
import os
import random
import signal

import pytest
from playwright.sync_api import expect

from ..proxy import Proxy
from .crowd import Crowd
from .pages import (
    await_pushes,
    connection_id,
    enter,
    eventually,
    expect_connected,
    expect_state,
    feed_rows,
    live_rows,
    message,
    say,
    texts,
    watch,
)

# The third is what htmx writes of a websocket that could not open.
LOST = ["WebSocket connection .* failed", "ERR_CONNECTION_REFUSED", "object Event"]
CUT = [*LOST, "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"]
CUTS, KILLS = (100, 20) if os.environ.get("SOAK") == "1" else (15, 3)
# Write numbered messages, so fast that some are always on their way.
TALK = """name => {
  let count = 0;
  const field = document.getElementById("message");
  window.talking = setInterval(() => {
    if (document.getElementById("pending").childElementCount > 3) return;
    field.value = `${name} ${count++}`;
    field.dispatchEvent(new Event("input"));
    field.form.requestSubmit();
  }, 20);
}"""
BE_SILENT = "clearInterval(window.talking)"
# What the browser tells when there is a network again: pages come back at once.
ONLINE = "dispatchEvent(new Event('online'))"
COMING_BACK = 60_000  # milliseconds; attempts are up to 30 s apart


class Network(Proxy):
    """What lies between browsers and a server, and takes its place for them."""

    def __init__(self, server):
        super().__init__(server.port)
        self.url = f"http://127.0.0.1:{self.port}"
        self.cookie = server.cookie


@pytest.fixture
def frozen(own_server):
    """Stop the server's process from running, and let it go on."""

    def frozen(stopped):
        number = signal.SIGSTOP if stopped else signal.SIGCONT
        own_server.process.send_signal(number)

    yield frozen
    frozen(False)


def test_after_a_crash_nothing_dead_is_live_and_the_history_is_whole(
    own_server, page_of, tolerate
):
    tolerate += LOST
    ana, olga = page_of("ana", at=own_server), page_of("olga", at=own_server)
    enter(ana)
    watch(olga)
    with Crowd(own_server) as crowd:
        bruno, *_others = crowd.join(5, "bruno")
        expect(live_rows(olga)).to_have_count(7)
        say(ana, "before the crash")
        expect(message(ana, "before the crash")).to_have_count(1)
        died = connection_id(live_rows(olga, "/ws/chat/lobby/"))
        for number in range(40):
            crowd.say(bruno, f"told {number}")
        assert eventually(lambda: "told 39" in crowd.heard)
        own_server.kill()
    own_server.start()

    expect_state(olga, "live", timeout=COMING_BACK)
    expect_connected(ana, timeout=COMING_BACK)
    expect(live_rows(olga)).to_have_count(2)
    expect(live_rows(olga, "/ws/chat/lobby/")).to_have_count(1)
    assert connection_id(live_rows(olga, "/ws/chat/lobby/")) != died
    received = own_server.rows(
        "SELECT text FROM monitor_event WHERE kind = 'receive' ORDER BY at, seq"
    )
    for text in {"before the crash", *crowd.heard}:
        assert sum(f'"{text}"' in row for (row,) in received) == 1, text
    for text in ("before the crash", "told 39"):
        expect(feed_rows(olga, f'"{text}"')).to_have_count(1)
        expect(message(ana, text)).to_have_count(1)
    say(ana, "after the crash")
    expect(feed_rows(olga, "after the crash")).to_have_count(1)

    ends = own_server.rows(
        "SELECT cause, count(*) FROM monitor_connection WHERE closed_at IS NOT NULL"
        " GROUP BY cause"
    )
    assert ends == [("process", 7)]
    olga.goto(f"/admin/monitor/live/{died}/")
    expect(olga.locator(".summary")).to_contain_text("✕ closed process lost")


def test_a_frozen_server_greys_the_dashboard_until_there_is_news(
    own_server, page_of, frozen
):
    olga = page_of("olga", at=own_server)
    watch(olga)
    rows = olga.locator("#connections-rows").locator("xpath=..")
    expect(rows).to_have_css("opacity", "1")

    frozen(True)
    expect_state(olga, "stale")
    expect(olga.locator("#monitor-state")).to_have_text("◌ no news")
    expect(rows).to_have_css("opacity", "0.55")
    frozen(False)

    expect_state(olga, "live")
    expect(rows).to_have_css("opacity", "1")


def test_a_chat_notices_a_vanished_server_within_45_seconds_and_comes_back(
    server, page_of, room, tolerate
):
    tolerate += CUT
    with Network(server) as network:
        ana = page_of("ana", at=network)
        ana.clock.install()  # seconds pass by order
        enter(ana, room)

        with network.black_hole():
            pass_time(ana, 45)
            expect(ana.get_by_role("status")).to_have_text("offline")
            expect(ana.get_by_text("Connection lost. Trying again in")).to_be_visible()
            for _ in range(2):  # nobody answers, not even a handshake
                pass_time(ana, 30)
                expect(ana.get_by_role("status")).to_have_text("connecting")
                expect(ana.get_by_text("Trying again now")).to_be_visible()
                pass_time(ana, 20)
                expect(ana.get_by_role("status")).to_have_text("offline")
        pass_time(ana, 30)

        expect_connected(ana)
        say(ana, "there again")
        expect(message(ana, "there again")).to_have_count(1)


def test_a_dashboard_notices_a_vanished_server_within_45_seconds_and_comes_back(
    server, page_of, tolerate
):
    tolerate += CUT
    with Network(server) as network:
        olga = page_of("olga", at=network)
        olga.clock.install()
        watch(olga)

        with network.black_hole():
            pass_time(olga, 6)
            expect_state(olga, "stale")
            pass_time(olga, 6)
            expect_state(olga, "offline")
            note_states(olga)
            for _ in range(10):  # while it tries, it says nothing else
                pass_time(olga, 6)
            assert olga.evaluate("window.states") == []
        pass_time(olga, 6)

        expect_state(olga, "live")
        await_pushes(olga)


def test_a_dashboard_that_never_got_an_answer_says_so_and_tries_on(
    server, page_of, tolerate
):
    tolerate += CUT
    with Network(server) as network:
        olga = page_of("olga", at=network)
        olga.clock.install()
        olga.context.grant_permissions(["local-network-access"])
        olga.route("**/*", lambda route: pass_by(route, network, server))
        with network.black_hole():
            olga.goto("/admin/monitor/live/")
            expect_state(olga, "connecting")
            pass_time(olga, 11)
            expect_state(olga, "offline")
        pass_time(olga, 6)

        expect_state(olga, "live")


def note_states(page):
    """Keep the states that a dashboard is in from now on."""
    page.evaluate("""() => {
      const board = document.getElementById("monitor-board");
      window.states = [];
      const note = () => window.states.push(board.dataset.state);
      new MutationObserver(note).observe(board, { attributeFilter: ["data-state"] });
    }""")


def pass_by(route, network, server):
    """Fetch what a page asks for from the server itself; its sockets cannot."""
    url = route.request.url.replace(network.url, server.url)
    route.fulfill(response=route.fetch(url=url))


def pass_time(page, seconds):
    """Let a page's clock run on; each timer that is due fires once."""
    page.clock.fast_forward(1000 * seconds)


def test_pages_come_back_after_a_restart_and_send_what_was_written_meanwhile(
    own_server, page_of, tolerate
):
    tolerate += LOST
    ana, olga = page_of("ana", at=own_server), page_of("olga", at=own_server)
    enter(ana)
    watch(olga)
    olga.evaluate("window.sameDocument = true")

    own_server.stop()
    expect_state(olga, "offline")
    expect(ana.get_by_text("Connection lost.")).to_be_visible()
    say(ana, "written without a connection")
    expect(ana.get_by_text("waits for the connection")).to_be_visible()
    own_server.start()

    expect_state(olga, "live", timeout=COMING_BACK)
    expect_connected(ana, timeout=COMING_BACK)
    expect(message(ana, "written without a connection")).to_have_count(1)
    expect(feed_rows(olga, "written without a connection")).to_have_count(1)
    expect(live_rows(olga)).to_have_count(2)
    assert olga.evaluate("window.sameDocument") is True


def test_one_tab_too_many_is_told_why_and_may_enter_when_another_has_closed(
    own_server, page_of
):
    own_server.stop()
    own_server.environment["CHAT_MAX_CONNECTIONS"] = "1"
    own_server.start()
    first, second = page_of("ana", at=own_server), page_of("ana", at=own_server)
    enter(first)

    second.goto("/rooms/lobby/")
    expect(second.get_by_text("close one first. Trying again in")).to_be_visible()
    first.close()
    second.get_by_role("button", name="Retry now").click()

    expect_connected(second)


def test_an_outbox_of_fifty_goes_out_in_order_and_never_too_fast(
    own_server, page_of, tolerate
):
    tolerate += LOST
    own_server.stop()
    del own_server.environment["CHAT_RATE"]  # as it is by default: 5 a second
    own_server.start()
    ana, bruno = page_of("ana", at=own_server), page_of("bruno", at=own_server)
    refused = []
    ana.on(
        "websocket",
        lambda socket: socket.on(
            "framereceived", lambda frame: '"error"' in frame and refused.append(frame)
        ),
    )
    enter(ana)
    enter(bruno)
    own_server.kill()
    expect(ana.get_by_text("Connection lost.")).to_be_visible()
    written = [f"number {number}" for number in range(50)]
    for text in written:
        say(ana, text)

    own_server.start()

    expect(message(bruno, written[-1])).to_be_visible(timeout=COMING_BACK)
    expect(message(ana, written[-1])).to_be_visible()
    assert texts(bruno) == texts(ana) == written
    assert not refused
    ana.reload()
    expect_connected(ana)
    assert texts(ana) == written


def test_cuts_and_crashes_in_mid_send_lose_nothing_and_double_nothing(
    own_server, page_of, tolerate
):
    tolerate += CUT
    with Network(own_server) as proxy:
        pages = {name: page_of(name, at=proxy) for name in ("ana", "bruno")}
        acked = []
        for name, page in pages.items():
            page.on("websocket", lambda socket: note_acks(socket, acked))
            enter(page)
            page.evaluate(TALK, name)

        for number in range(CUTS):
            interrupt(pages.values(), proxy.cut)
            if number % (CUTS // KILLS) == 0:
                interrupt(pages.values(), own_server.kill, own_server.start)

        for page in pages.values():
            page.evaluate(BE_SILENT)
        for page in pages.values():
            expect(page.locator("#pending > *")).to_have_count(0)
        stored = own_server.rows(
            "SELECT text, author_name, client_id FROM chat_message ORDER BY seq"
        )
        written = [text for text, _, _ in stored]
        for name, page in pages.items():
            own = [text for text, author, _ in stored if author == name]
            assert own == [f"{name} {number}" for number in range(len(own))]
            assert eventually(lambda page=page: texts(page)[-1] == written[-1])
            shown = texts(page)
            assert shown == written[-len(shown) :]
            assert len(shown) >= min(len(written), 300)  # a page keeps as many
            page.reload()
            expect_connected(page)
            shown = texts(page)
            assert shown == written[-len(shown) :]
        ids = [client_id for _, _, client_id in stored]
        assert len(acked) > CUTS
        assert len(set(ids)) == len(ids)
        assert set(acked) <= set(ids)


def interrupt(pages, end, begin=lambda: None):
    """At some moment cut pages off, and see that they come back when they can."""
    for page in pages:
        page.wait_for_timeout(random.uniform(10, 100))
    end()
    for page in pages:
        expect(page.get_by_role("status")).not_to_have_text("connected")
    begin()
    for page in pages:
        page.evaluate(ONLINE)
        expect_connected(page)


def note_acks(socket, acked):
    """Keep the ids of the messages that the server says it has stored."""

    def received(frame):
        if '"ack"' in frame:
            acked.append(json.loads(frame)["client_id"].replace("-", ""))

    socket.on("framereceived", received)
