"""Operators decide what is kept: whole conversations for a while, or no texts."""

import time

from playwright.sync_api import expect

from .pages import (
    DASHBOARD,
    await_pushes,
    enter,
    eventually,
    feed_rows,
    follow,
    live_rows,
    message,
    say,
    watch,
)

WITHIN = 5.0  # seconds, in which a policy acts on what is open


def traces(page, text):
    """The rows of the traces on the dashboard with this text."""
    return page.locator("#traces-rows tr").filter(has_text=text)


def test_an_operator_traces_a_user_both_ways_and_stops_it(page_of, room):
    ana, bruno, olga = page_of("ana"), page_of("bruno"), page_of("olga")
    enter(ana, room)
    enter(bruno, room)
    watch(olga)
    row = live_rows(olga, f"/ws/chat/{room}/").filter(has_text="ana")
    follow(olga, row, "ana")

    olga.get_by_label("every connection of the user ana").check()
    olga.get_by_label("For how long").select_option("1 hour")
    olga.get_by_label("At most, in MiB").fill("1")
    olga.get_by_role("button", name="Start the trace").click()
    expect(olga.get_by_text("Tracing user ana from now on.")).to_be_visible()
    watch(olga)
    trace = traces(olga, "user ana")
    expect(trace).to_contain_text("● running")
    expect(trace.locator("td.left")).to_have_text("59 min")
    # Others see to that the trace is heard of: the first words may come too early.
    say(bruno, "are you there?")
    expect(message(ana, "are you there?")).to_have_count(1)
    # Its list of rooms says it once more.
    sent = feed_rows(olga, '"message":"are you there?"').filter(has_text="send")
    expect(sent).to_have_count(1)
    say(ana, "yes, both ways")
    expect(message(bruno, "yes, both ways")).to_have_count(1)

    expect(trace.locator("td.size")).not_to_contain_text("0 B of")
    trace.get_by_role("link", name="Messages").click()
    listed = olga.locator("#result_list tbody tr")
    expect(listed.filter(has_text="are you there?").first).to_contain_text("out")
    for direction in ("in", "out"):
        said = listed.filter(has_text="yes, both ways").filter(has_text=direction)
        expect(said.first).to_contain_text(f"/ws/chat/{room}/")
    of_bruno = olga.locator("td.field-who", has_text="bruno")
    expect(listed.filter(has=of_bruno)).to_have_count(0)

    watch(olga)
    trace.get_by_role("button", name="Stop tracing user ana").click()
    expect(trace).to_contain_text("stopped by staff")
    expect(trace.get_by_role("button")).to_have_count(0)
    time.sleep(WITHIN / 2)
    say(bruno, "and now?")
    expect(feed_rows(olga, "and now?")).to_have_count(1)
    expect(message(ana, "and now?")).to_have_count(1)
    expect(feed_rows(olga, "and now?").filter(has_text="send")).to_have_count(0)


def test_a_policy_of_no_texts_acts_on_what_is_open_within_seconds(page_of, room):
    ana, olga, watcher = page_of("ana"), page_of("olga"), page_of("olga")
    enter(ana, room)
    watch(watcher)
    say(ana, "for the record")
    expect(feed_rows(watcher, "for the record")).to_have_count(1)

    olga.goto("/admin/monitor/capturepolicy/add/")
    olga.get_by_label("Path").fill(f"/ws/chat/{room}/")
    olga.get_by_label("Level").select_option("meta")
    olga.get_by_role("button", name="Save", exact=True).click()
    expect(olga.get_by_text("was added successfully")).to_be_visible()
    here = watcher.locator("#feed-rows tr").filter(has_text=f"/ws/chat/{room}/")
    newest = here.filter(has_text="receive").first
    left_out = "text left out by the capture policy"

    def acts():
        say(ana, "is this kept?")
        await_pushes(watcher)
        return left_out in newest.inner_text()

    assert eventually(acts, within=WITHIN)
    say(ana, "between us")
    expect(message(ana, "between us")).to_have_count(1)

    expect(newest).to_contain_text(left_out)
    expect(feed_rows(watcher, "between us")).to_have_count(0)
    follow(watcher, live_rows(watcher, f"/ws/chat/{room}/"), "ana")
    kept = watcher.get_by_role("region", name="Recording")
    expect(kept).to_contain_text("meta: each message, without its text")
    expect(kept).to_contain_text(f"policy of staff for /ws/chat/{room}/")


def test_a_viewer_watches_a_trace_without_a_text_and_without_a_button(
    server, page_of, room
):
    vera = page_of("vera")
    value = f"/ws/chat/{room}/*"
    asked = {"kind": "path", "value": value, "minutes": 10, "mebibytes": 1}
    watch(vera)

    server.post("/admin/monitor/trace/add/", "olga", **asked)

    row = traces(vera, value)
    expect(row).to_contain_text("● running")
    expect(vera.get_by_role("button", name="Stop")).to_have_count(0)
    refused = server.post(f"{DASHBOARD}traces/stop/", "vera", DASHBOARD, trace=1)
    assert refused.status == 403
