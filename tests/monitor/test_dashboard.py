import asyncio
import json
import re
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.urls import path
from django.utils import timezone

from monitor.dashboard.consumers import DashboardConsumer
from monitor.dashboard.routing import websocket_urlpatterns
from monitor.models import Action, Connection, Event, Gap, Process, Trace
from monitor.processes.commands import announce
from monitor.processes.local import local_process

from ..clock import until
from .conftest import ECHO, kinds, only_connection, recorded, stored

APP = recorded(*websocket_urlpatterns, ECHO)


class Page:
    """A dashboard's page, as far as its socket goes."""

    def __init__(self, socket):
        self.socket = socket

    async def say(self, **command):
        await self.socket.send_to(text_data=json.dumps(command))

    async def hear(self, pattern):
        """Return everything that comes until `pattern` does, pulses left out."""
        heard = ""
        async with asyncio.timeout(15):
            while not re.search(pattern, heard, re.DOTALL):
                heard += await self.socket.receive_from(timeout=15)
        return re.sub(r'<time id="monitor-pulse".*?</time>\s*', "", heard)

    async def hear_close(self):
        while (message := await self.socket.receive_output(timeout=5))["type"] != (
            "websocket.close"
        ):
            pass
        return message["code"]


@pytest.fixture
def dashboard(open_socket, user_of, headers_of):
    """Open a dashboard as a member of staff, and take in what it shows first."""

    async def dashboard(name="olga", group="Monitor operators"):
        user = await user_of(name, group)
        socket = await open_socket(APP, "/ws/monitor/", await headers_of(user))
        assert socket.accepted
        page = Page(socket)
        await page.say(have={})
        await page.hear(rf'<tr id="connection-.*{name}')
        return page

    return dashboard


@pytest.mark.parametrize("groups", [(), ("No such group",)])
async def test_who_has_no_right_gets_no_socket(
    open_socket, user_of, headers_of, groups
):
    user = await user_of("sam", *groups)

    socket = await open_socket(APP, "/ws/monitor/", await headers_of(user))

    assert not socket.accepted
    connection = await only_connection()
    assert connection.detail == "no right to view connections"
    assert await kinds() == ["connect", "reject"]


async def test_an_anonymous_visitor_gets_no_socket(open_socket):
    socket = await open_socket(APP, "/ws/monitor/")

    assert not socket.accepted


async def test_a_connection_comes_and_goes_without_being_asked_for(
    dashboard, open_socket
):
    page = await dashboard()

    echo = await open_socket(APP)
    appeared = await page.hear(r'<tr id="connection-')
    await echo.disconnect()
    gone = await page.hear(r'<span id="connection-[0-9a-f-]+" hx-swap-oob="delete"')

    row = await Connection.objects.aget(path="/echo/here/")
    assert f'<tr id="connection-{row.pk}">' in appeared
    assert f'<span id="connection-{row.pk}" hx-swap-oob="delete">' in gone


async def test_only_the_cells_that_changed_are_sent(dashboard, open_socket):
    page = await dashboard()
    echo = await open_socket(APP)
    await page.hear('<tr id="connection-.*/echo/here/')

    await echo.send_to(text_data="hello")
    await echo.receive_from()
    heard = await page.hear(r"-bytes-out")

    assert '<tr id="connection' not in heard
    changed = set(re.findall(r'id="connection-[0-9a-f-]{36}-([\w-]+)"', heard))
    assert changed <= {"idle", "in", "out", "bytes-in", "bytes-out", "state"}


async def test_a_message_appears_in_the_feed_once_and_escaped(dashboard, open_socket):
    page = await dashboard()
    echo = await open_socket(APP)

    await echo.send_to(text_data="<script>alert(1)</script>")
    heard = await page.hear(r"alert\(1\)")

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in heard
    assert "<script>" not in heard


async def test_without_the_right_texts_do_not_leave_the_server(dashboard, open_socket):
    page = await dashboard("vera", "Monitor viewers")
    echo = await open_socket(APP)

    await echo.send_to(text_data="between us")
    heard = await page.hear(r"kind-receive[\s\S]*-text")

    assert "between us" not in heard
    assert "••• 10 B" in heard


async def test_a_paused_feed_stands_still_and_then_catches_up(dashboard, open_socket):
    page = await dashboard()
    echo = await open_socket(APP)
    await page.say(paused=True)

    await echo.send_to(text_data="meanwhile")
    meanwhile = await page.hear(r"-bytes-in")
    await page.say(paused=False)
    afterwards = await page.hear("meanwhile")

    assert "meanwhile" not in meanwhile
    assert "meanwhile" in afterwards


async def test_a_lost_right_closes_the_dashboard_and_says_so(dashboard):
    page = await dashboard()
    await (await Group.objects.aget(name="Monitor operators")).user_set.aclear()

    await page.say(paused=True)

    assert "no longer have the right" in await page.hear("monitor-farewell")
    assert await page.hear_close() == 4403


async def test_a_lost_right_is_noticed_without_a_command(dashboard, settings):
    settings.MONITOR_PERMISSION_INTERVAL = 0.1
    settings.MONITOR_PULSE_INTERVAL = 0.1
    page = await dashboard()

    await (await Group.objects.aget(name="Monitor operators")).user_set.aclear()

    assert await page.hear_close() == 4403


async def test_signing_out_closes_the_dashboard(dashboard):
    page = await dashboard()
    await Session.objects.all().adelete()

    await page.say(paused=True)

    assert await page.hear_close() == 4401


@pytest.mark.parametrize(
    "text",
    ["no json", "[]", '{"have": [1]}', '{"have": {"feed": [1]}}', "[" * 100_000],
)
async def test_a_command_that_makes_no_sense_closes_the_dashboard(dashboard, text):
    page = await dashboard()

    await page.socket.send_to(text_data=text)

    assert await page.hear_close() == 4400


async def test_watching_changes_nothing(dashboard, settings):
    settings.MONITOR_PULSE_INTERVAL = 0.05
    page = await dashboard()
    await stored()
    rows = Connection.objects.values(), Event.objects.values(), Process.objects.values()
    before = [[row async for row in table] for table in rows]

    for _ in range(10):
        await page.socket.receive_from(timeout=5)

    assert [[row async for row in table.all()] for table in rows] == before
    assert (await only_connection()).messages_out == 0


def test_a_dashboard_that_comes_back_by_itself_is_told_to_reload_nothing():
    farewell = DashboardConsumer.monitor_farewell(4012, "The server restarts.", {})

    assert "The server restarts." in farewell
    assert "Reload" not in farewell


async def test_a_dashboard_that_staff_disconnect_is_told_why(dashboard):
    page = await dashboard()
    await stored()
    connection = await Connection.objects.aget()
    await Action.objects.acreate(
        kind="disconnect",
        connection=connection,
        process_id=connection.process_id,
        asked_by_name="admin",
        reason="cleaning up",
    )

    await sync_to_async(announce)()

    assert "cleaning up" in (farewell := await page.hear("monitor-farewell"))
    assert "Reload the page" in farewell
    assert await page.hear_close() == 4403


async def test_what_an_exception_says_is_for_those_who_may_read_texts(
    dashboard, open_socket
):
    page = await dashboard("vera", "Monitor viewers")
    echo = await open_socket(APP)

    await echo.send_to(text_data="boom")
    with pytest.raises(RuntimeError):
        await echo.receive_output()
    heard = await page.hear("kind-error.*-text")

    assert "RuntimeError" in heard
    assert "RuntimeError: boom" not in heard


async def test_without_the_channel_layer_the_pulse_keeps_it_up_to_date(
    dashboard, open_socket, settings
):
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:1/0"]},
        }
    }
    settings.MONITOR_PULSE_INTERVAL = 0.2
    page = await dashboard()

    async def without_a_channel(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    await open_socket(recorded(path("bare/", without_a_channel)), "/bare/")

    await page.hear('<tr id="connection-.*/bare/')


async def test_a_foreign_page_gets_no_dashboard(open_socket, user_of, headers_of):
    olga = await user_of("olga", "Monitor operators")
    headers = [pair for pair in await headers_of(olga) if pair[0] != b"origin"]
    headers.append((b"origin", b"http://evil.example"))

    socket = await open_socket(APP, "/ws/monitor/", headers)

    assert not socket.accepted
    assert (await only_connection()).detail == "foreign origin"


async def test_sessions_in_signed_cookies_open_a_dashboard_that_stays(
    dashboard, settings
):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    page = await dashboard()

    await page.say(paused=True)

    await page.hear("monitor-pulse")
    assert page.socket.output_queue.empty()


async def test_a_changed_password_closes_the_dashboard(dashboard):
    page = await dashboard()
    user = await get_user_model().objects.aget()
    user.set_password("another")
    await user.asave()

    await page.say(paused=True)

    assert await page.hear_close() == 4401


async def test_a_trace_is_on_the_dashboard_from_its_start_to_its_end(
    dashboard, open_socket, client_of
):
    operator = await sync_to_async(client_of)("Monitor operators")
    post = sync_to_async(operator.post)
    page = await dashboard()
    echo = await open_socket(APP)
    await page.hear('<tr id="connection-.*/echo/here/')
    connection = await Connection.objects.aget(path="/echo/here/")
    rules = local_process().rules

    asked = {"kind": "connection", "minutes": 10, "mebibytes": 10}
    await post(f"/admin/monitor/live/{connection.pk}/trace/", asked)
    started = await page.hear('<tr id="trace-.*value=')
    await until(lambda: local_process().rules is not rules)
    await echo.send_to(text_data="both ways")
    await echo.receive_from()
    running = await page.hear("kind-send.*both ways.*18 B of 10.0 MiB")
    trace = await Trace.objects.aget()
    await post("/admin/monitor/live/traces/stop/", {"trace": trace.pk})
    ended = await page.hear("stopped by staff.*-trace")

    assert str(connection.pk) in started
    assert "● running" in started
    assert "kind-receive" in running
    assert "<button" not in ended
    assert "data-until" not in ended


async def test_a_viewer_is_sent_no_button_to_stop_a_trace(dashboard, settings):
    settings.MONITOR_PULSE_INTERVAL = 0.1
    page = await dashboard("vera", "Monitor viewers")

    ends_at = timezone.now() + timedelta(minutes=10)
    await Trace.objects.acreate(kind="user", value="ana", ends_at=ends_at)
    heard = await page.hear('<tr id="trace-.*-size')

    assert "user ana" in heard
    assert "<button" not in heard


async def test_a_gap_appears_in_its_section_and_in_the_totals(dashboard, settings):
    settings.MONITOR_PULSE_INTERVAL = 0.1
    page = await dashboard("vera", "Monitor viewers")

    now, process = timezone.now(), await Process.objects.aget()
    times = {"began_at": now, "ended_at": now}
    await Gap.objects.acreate(process=process, kind="payload", count=7, **times)
    heard = await page.hear("▲ 1 gap in 24 h")

    assert "texts left out, journal nearly full" in heard


async def test_how_long_a_message_took_follows_it(dashboard, open_socket):
    page = await dashboard()
    echo = await open_socket(APP)

    await echo.send_to(text_data="hello")

    await page.hear(r'hello.*-took"[^>]*title="[\d,]+ µs"')
