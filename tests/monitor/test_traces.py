from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from monitor.models import Connection, Event, Trace
from monitor.processes.commands import announce
from monitor.processes.local import local_process
from monitor.recording.lines import TRACED_ROW

from ..clock import until
from .conftest import stored


@pytest.fixture
def trace(transactional_db):
    """Start a trace, and wait until this process knows it."""

    async def trace(kind, value, seconds=60, size=10**6):
        ends_at = timezone.now() + timedelta(seconds=seconds)
        started = await Trace.objects.acreate(
            kind=kind, value=value, ends_at=ends_at, bytes_limit=size
        )
        await sync_to_async(announce)()
        await until(
            lambda: any(t.id == started.pk for t in local_process().rules.traces)
        )
        return started

    return trace


async def exchange(socket, *texts):
    for text in texts:
        await socket.send_to(text_data=text)
        await socket.receive_from()
    await stored()


async def traced():
    """Direction and text of every traced message."""
    events = Event.objects.filter(trace__isnull=False).order_by("seq")
    return [(event.kind, event.text) async for event in events]


async def has_result(trace, result):
    """Wait until a trace has ended by itself."""
    await until(lambda: Trace.objects.filter(pk=trace.pk, result=result).aexists())


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("user", "ana"),
        ("client", "192.0.2.7"),
        ("path", "/echo/*"),
        ("connection", None),
    ],
)
async def test_a_trace_keeps_both_directions(
    open_socket, user_of, headers_of, trace, kind, value
):
    socket = await open_socket(headers=await headers_of(await user_of("ana")))
    await exchange(socket, "before")

    await trace(kind, value or str((await Connection.objects.aget()).pk))
    await exchange(socket, "hello", '{"token": "hunter2-canary"}')

    masked = '{"token": "•••"}'
    assert await traced() == [
        ("receive", "hello"),
        ("send", "hello"),
        ("receive", masked),
        ("send", masked),
    ]


async def test_several_traces_keep_the_same_message(
    open_socket, user_of, headers_of, settings, trace
):
    settings.MONITOR_RULES_INTERVAL = 0.2
    socket = await open_socket(headers=await headers_of(await user_of("ana")))
    traces = [
        await trace("user", "ana", size=500),
        await trace("path", "/echo/*"),
        await trace("client", "192.0.2.7"),
        await trace("connection", str((await Connection.objects.aget()).pk)),
    ]
    others = [await trace("user", "bruno"), await trace("path", "/ech")]
    await exchange(socket, "both")
    await has_result(traces[0], "full")
    await exchange(socket, "only the longer ones")

    async def kept(trace):
        await trace.arefresh_from_db()
        return await Event.objects.of_trace(trace).acount(), trace.bytes_kept

    cost = 2 * (TRACED_ROW + len("both"))
    assert await kept(traces[0]) == (2, cost)
    cost += 2 * (TRACED_ROW + len("only the longer ones"))
    for longer in traces[1:]:
        assert await kept(longer) == (4, cost)
    for other in others:
        assert await kept(other) == (0, 0)


async def test_others_are_not_traced(open_socket, trace):
    socket = await open_socket()

    for kind, value in [("user", "ana"), ("client", "192.0.2.8"), ("path", "/other/")]:
        await trace(kind, value)
    await exchange(socket, "private")

    assert await traced() == []
    assert not await Event.objects.filter(kind="send").aexists()


async def test_a_trace_goes_before_the_policy_and_ends_with_it(
    open_socket, settings, trace
):
    settings.MONITOR_CAPTURE = {"*": "off"}
    settings.MONITOR_RULES_INTERVAL = 0.2
    socket = await open_socket()

    started = await trace("path", "/echo/here/", seconds=1)
    await exchange(socket, "traced")
    await has_result(started, "expired")
    await until(lambda: not local_process().rules.traces)
    await exchange(socket, "not any more")

    assert await traced() == [("receive", "traced"), ("send", "traced")]
    assert await Event.objects.filter(kind="receive").acount() == 1


async def test_a_trace_ends_when_its_size_is_reached(open_socket, settings, trace):
    settings.MONITOR_RULES_INTERVAL = 0.2
    socket = await open_socket()

    started = await trace("path", "/echo/here/", size=700)
    await exchange(socket, "ten bytes!", "ten bytes!", "ten bytes!")
    await has_result(started, "full")

    assert len(await traced()) == 3
    await started.arefresh_from_db()
    assert started.bytes_kept == 3 * (10 + TRACED_ROW)
    assert started.finished_at is not None


async def test_staff_stop_a_trace(open_socket, trace):
    socket = await open_socket()
    await trace("path", "/echo/here/")
    await exchange(socket, "traced")

    await Trace.objects.aupdate(finished_at=timezone.now(), result="stopped")
    await sync_to_async(announce)()
    await until(lambda: not local_process().rules.traces)
    await exchange(socket, "not traced")

    assert len(await traced()) == 2
    assert await Event.objects.filter(kind="receive").acount() == 2


async def test_a_traced_text_is_whole(open_socket, settings, trace):
    settings.MONITOR_TEXT_LIMIT = 10
    socket = await open_socket()

    await trace("path", "/echo/here/")
    await exchange(socket, "x" * 100_000)

    assert [len(text) for _, text in await traced()] == [100_000, 100_000]
