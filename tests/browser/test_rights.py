"""Who may look, how much they see, and what becomes of those who no longer may."""

import pytest
from playwright.sync_api import expect

from .pages import (
    DASHBOARD,
    connection_id,
    enter,
    expect_state,
    feed_rows,
    follow,
    live_rows,
    message,
    open_socket,
    say,
    watch,
)

FAREWELL = "You no longer have the right to view connections."


@pytest.mark.parametrize("user", ["sam", "ana"])
def test_no_page_and_no_socket_for_those_who_may_not_look(page_of, tolerate, user):
    tolerate += ["status of 403", "WebSocket connection .* failed"]
    page = page_of(user)

    response = page.goto(DASHBOARD)
    socket = open_socket(page, "/ws/monitor/")

    assert response.status == 403
    assert socket == {"opened": False, "code": 1006}


def test_a_visitor_is_asked_to_log_in_and_gets_no_socket(page_of, tolerate):
    tolerate += ["WebSocket connection .* failed"]
    page = page_of()

    page.goto(DASHBOARD)
    socket = open_socket(page, "/ws/monitor/")

    expect(page.get_by_label("Password")).to_be_visible()
    assert socket == {"opened": False, "code": 1006}


def test_a_viewer_sees_sizes_in_place_of_texts_and_cannot_disconnect(
    server, page_of, room
):
    ana, vera = page_of("ana"), page_of("vera")
    watch(vera)
    enter(ana, room)
    say(ana, "for friends only")
    expect(message(ana, "for friends only")).to_have_count(1)
    row = live_rows(vera, f"/ws/chat/{room}/")
    connection = connection_id(row)
    pushed = feed_rows(vera, f"/ws/chat/{room}/").filter(has_text="receive")
    expect(pushed).to_have_count(1)  # and so it is stored
    [(size,)] = server.rows(
        "SELECT size FROM monitor_event WHERE kind = 'receive' AND path = ?",
        f"/ws/chat/{room}/",
    )

    expect(pushed.locator("td.text")).to_have_text(f"••• {size} B")
    expect(vera.get_by_role("checkbox")).to_have_count(0)
    expect(vera.get_by_role("button", name="Disconnect")).to_have_count(0)
    follow(vera, row, "ana")
    expect(vera.get_by_role("cell", name=f"••• {size} B")).to_be_visible()
    expect(vera.get_by_role("button", name="Disconnect")).to_have_count(0)

    for path in (DASHBOARD, f"{DASHBOARD}{connection}/", "/admin/monitor/event/"):
        assert "for friends only" not in server.get(path, "vera").text
    asked = server.post(
        f"{DASHBOARD}disconnect/",
        "vera",
        page=DASHBOARD,
        connection=connection,
        reason="because",
    )
    assert asked.status == 403
    expect(ana.get_by_role("status")).to_have_text("connected")


def test_a_command_without_the_right_any_more_closes_the_dashboard_for_good(
    page_of, without_groups
):
    vera = page_of("vera")
    sockets = []
    vera.on("websocket", lambda socket: sockets.append(socket))
    watch(vera)

    without_groups("vera")
    # By force: if the page's own first command came later than that, it is closed.
    vera.get_by_role("button", name="Pause").click(force=True)

    expect_state(vera, "closed")
    expect(vera.get_by_role("alert")).to_contain_text(f"{FAREWELL} (4403)")
    expect(vera.locator("#monitor-state")).to_have_text("✕ closed")
    vera.evaluate("dispatchEvent(new Event('online'))")
    vera.wait_for_timeout(2500)  # more than it takes to come back from other ends
    assert len(sockets) == 1
    expect_state(vera, "closed")


def test_a_right_taken_away_closes_an_idle_dashboard_by_itself(page_of, without_groups):
    vera = page_of("vera")
    watch(vera)

    without_groups("vera")

    expect_state(vera, "closed", timeout=25_000)
    expect(vera.get_by_role("alert")).to_contain_text(FAREWELL)


def test_a_logout_closes_the_dashboard_of_another_tab(page_of):
    vera = page_of()
    vera.goto(f"/login/?next={DASHBOARD}")
    vera.get_by_label("User name").fill("vera")
    vera.get_by_label("Password").fill("a-password-for-tests")
    vera.get_by_role("button", name="Log in").click()
    expect_state(vera, "live")
    tab = vera.context.new_page()
    tab.goto("/rooms/")

    tab.get_by_role("button", name="Log out").click()
    expect(tab.get_by_label("Password")).to_be_visible()
    vera.get_by_role("button", name="Pause").click()

    expect_state(vera, "closed")
    expect(vera.get_by_role("alert")).to_contain_text("You have signed out. (4401)")
