"""Staff with the right to disconnect users do so, and users read why."""

from playwright.sync_api import expect

from .pages import (
    connection_id,
    enter,
    facts,
    feed_rows,
    follow,
    live_rows,
    message,
    say,
    watch,
)

LASTING = ["Who", "From where, to where", "Session", "Scope"]


def test_an_operator_disconnects_a_user_who_reads_the_reason(server, page_of, room):
    bruno, olga = page_of("bruno"), page_of("olga")
    enter(bruno, room)
    say(bruno, "something rude")
    expect(message(bruno, "something rude")).to_have_count(1)
    watch(olga)
    row = live_rows(olga, f"/ws/chat/{room}/")
    connection = connection_id(row)
    follow(olga, row, "bruno")
    expect(olga).to_have_url(f"{server.url}/admin/monitor/live/{connection}/")
    expect(olga.locator(".summary")).to_contain_text("● live")
    expect(olga.locator(".feed")).to_contain_text("something rude")
    while_live = [facts(olga, title) for title in LASTING]

    olga.get_by_label("Why bruno").fill("Please be kind.")
    olga.get_by_role("button", name="Disconnect").click()

    expect(bruno.get_by_role("alert")).to_contain_text("Please be kind.")
    expect(bruno.get_by_role("status")).to_have_text("closed")
    done = olga.get_by_role("region", name="Actions of staff").get_by_role("row").last
    expect(done).to_contain_text("done")
    expect(done).to_contain_text("olga")
    expect(done).to_contain_text("Please be kind.")
    olga.reload()
    summary = olga.locator(".summary")
    expect(summary).to_contain_text("✕ closed")
    expect(summary).to_contain_text("disconnected by staff (4403)")
    expect(summary).to_contain_text("olga: Please be kind.")
    assert [facts(olga, title) for title in LASTING] == while_live
    events = olga.get_by_role("region", name="Events").locator("tbody .cell")
    expect(events).to_have_text(["disconnect", "receive", "accept", "connect"])
    expect(olga.get_by_role("button", name="Disconnect")).to_have_count(0)


def test_a_disconnected_user_may_connect_again_when_asked(page_of, room):
    bruno, olga = page_of("bruno"), page_of("olga")
    enter(bruno, room)
    watch(olga)
    live_rows(olga, f"/ws/chat/{room}/").get_by_role("checkbox").check()
    olga.get_by_label("for this reason").fill("Try again.")
    olga.get_by_role("button", name="Disconnect").click()
    expect(bruno.get_by_role("alert")).to_contain_text("Try again.")

    bruno.get_by_role("button", name="Connect again").click()

    expect(bruno.get_by_role("status")).to_have_text("connected")
    expect(live_rows(olga, f"/ws/chat/{room}/")).to_have_count(1)


def test_chosen_connections_end_together_with_one_reason(page_of, room):
    ana, bruno, olga = page_of("ana"), page_of("bruno"), page_of("olga")
    enter(ana, room)
    enter(bruno, room)
    watch(olga)
    rows = live_rows(olga, f"/ws/chat/{room}/")
    expect(rows).to_have_count(2)
    button = olga.locator("#disconnect-chosen")
    expect(button).to_be_disabled()

    for row in rows.all():
        row.get_by_role("checkbox").check()
    expect(button).to_have_text("Disconnect (2)")
    olga.get_by_label("for this reason").fill("The room closes for the night.")
    button.click()

    expect(rows).to_have_count(0)
    for page in (ana, bruno):
        expect(page.get_by_role("alert")).to_contain_text("closes for the night.")
    actions = olga.get_by_role("region", name="Actions of staff").first
    mine = actions.locator("tbody tr").filter(has_text="closes for the night.")
    expect(mine).to_have_count(2)
    expect(mine.locator("td.result")).to_have_text(["done", "done"])
    expect(feed_rows(olga, "4403")).not_to_have_count(0)


def test_a_notice_to_all_of_a_user_is_read_and_put_away(page_of, room):
    bruno, olga = page_of("bruno"), page_of("olga")
    enter(bruno, room)
    watch(olga)
    follow(olga, live_rows(olga, f"/ws/chat/{room}/"), "bruno")
    olga.get_by_role("link", name="all of bruno").click()

    olga.get_by_label("send a notice").check()
    olga.get_by_label("Reason, or the text").fill("We restart at ten.")
    olga.get_by_role("button", name="Do it").click()

    notice = bruno.locator("#staff-notice")
    expect(notice).to_contain_text("We restart at ten.")
    expect(olga.get_by_role("status")).to_have_text("1 done")
    olga.go_back()
    olga.get_by_label("Reason, or the text").fill("At eleven, rather.")
    olga.get_by_role("button", name="Do it").click()
    for text in ("We restart at ten.", "At eleven, rather."):
        expect(notice).to_contain_text(text)
        notice.get_by_role("button", name="Got it").first.click()
    expect(notice).to_be_hidden()
    expect(bruno.get_by_role("textbox", name="Message to")).to_be_focused()
    expect(bruno.get_by_role("status")).to_have_text("connected")
    expect(olga.get_by_role("status")).to_have_text("1 done")


def test_a_blocked_user_reads_for_how_long_and_stays_out_until_it_is_lifted(
    page_of, room
):
    bruno, olga = page_of("bruno"), page_of("olga")
    enter(bruno, room)
    watch(olga)
    follow(olga, live_rows(olga, f"/ws/chat/{room}/"), "bruno")
    olga.get_by_role("link", name="all of bruno").click()

    olga.get_by_label("block: disconnect").check()
    olga.get_by_label("Block for").select_option("1 hour")
    olga.get_by_label("Reason, or the text").fill("Too loud.")
    olga.get_by_role("button", name="Do it").click()

    alert = bruno.get_by_role("alert").filter(has_text="Disconnected")
    expect(alert).to_contain_text("Blocked for another")
    bruno.get_by_role("button", name="Connect again").click()
    expect(alert).to_contain_text("Blocked for another")

    olga.goto("/admin/monitor/block/")
    olga.get_by_role("checkbox").last.check()
    olga.get_by_label("Action:").select_option("Lift the chosen blocks")
    olga.get_by_role("button", name="Go").click()
    expect(olga.locator(".messagelist")).to_contain_text("Lifted 1 block.")
    bruno.get_by_role("button", name="Connect again").click()
    expect(bruno.get_by_role("status")).to_have_text("connected")
