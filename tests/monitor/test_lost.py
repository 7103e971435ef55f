"""Processes of which nothing is heard, and those that return from it."""

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from monitor.models import Connection, Event, Process
from monitor.processes import recovery
from monitor.processes.local import local_process

from ..clock import until
from .conftest import only_connection, stored

give_up = sync_to_async(recovery.give_up_unheard_of)


@pytest.fixture
def frozen(monkeypatch):
    """Have the writer of this process do nothing; returns what wakes it again."""

    async def freeze(seen_before):
        process = local_process()
        work, process.writer.work = process.writer.work, lambda: False
        await until(lambda: process.writer.resting)
        seen_at = timezone.now() - timezone.timedelta(seconds=seen_before)
        await Process.objects.aupdate(seen_at=seen_at)

        def thaw():
            process.writer.work = work
            process.duties._beat_due_at = 0.0  # as after a pause
            process.wake()

        return thaw

    return freeze


async def test_a_process_not_heard_of_is_unknown_and_nothing_is_closed(
    open_socket, frozen
):
    await open_socket()
    await stored()
    thaw = await frozen(seen_before=30)

    assert await give_up() is False

    assert await Connection.objects.live().acount() == 0
    assert await Connection.objects.open().acount() == 1
    thaw()
    await until(lambda: Connection.objects.live().aexists())


async def test_after_ten_minutes_it_is_lost_at_an_inferred_time(open_socket, frozen):
    await open_socket()
    await stored()
    thaw = await frozen(seen_before=601)

    assert await give_up() is True

    connection = await only_connection()
    assert connection.cause == Connection.Cause.PROCESS
    assert connection.detail.startswith("inferred")
    assert connection.process.lost
    assert connection.closed_at == max(connection.active_at, connection.process.seen_at)
    assert await give_up() is False
    thaw()
    await until(lambda: Connection.objects.live().aexists())


async def test_one_without_connections_goes_on_under_another_row(
    transactional_db, frozen
):
    local_process().start()
    await stored()
    old = local_process()
    thaw = await frozen(seen_before=601)
    await give_up()

    thaw()

    new = await until(lambda: Process.objects.exclude(id=old.id).afirst())
    assert (new.id, new.lost) == (local_process().id, False)
    # Whoever takes over from the dead finds the old one dead.
    await until(lambda: not old.lock.path.exists())


async def test_a_process_that_returns_later_goes_on_in_new_rows(open_socket, frozen):
    socket = await open_socket()
    await socket.send_to(text_data="before")
    await socket.receive_from()
    await stored()
    old = await only_connection()
    thaw = await frozen(seen_before=601)
    await socket.send_to(text_data="while nobody listened")
    await socket.receive_from()
    await give_up()

    thaw()
    new = await until(lambda: Connection.objects.live().afirst())
    await socket.send_to(text_data="after")
    await socket.receive_from()
    await stored()
    await socket.disconnect()
    await stored()

    assert local_process().id == new.process_id != old.process_id
    assert new.detail == "goes on: its process was taken for lost"
    assert (new.path, new.client, new.username) == (old.path, old.client, old.username)
    texts = Event.objects.filter(kind="receive").order_by("at")

    async def replayed():  # by the new one, from the journal of the old
        return await texts.acount() == 3

    await until(replayed)
    assert [(e.connection_id, e.text) async for e in texts] == [
        (old.pk, "before"),
        (old.pk, "while nobody listened"),
        (new.pk, "after"),
    ]
    ends = Event.objects.filter(kind="disconnect")
    assert [end.connection_id async for end in ends] == [new.pk]
    await old.arefresh_from_db()
    assert (old.cause, old.messages_in) == ("process", 2)
    await new.arefresh_from_db()
    assert (new.cause, new.messages_in) == ("client", 1)


async def test_an_end_that_was_inferred_gives_way_to_the_one_that_was_seen(
    open_socket, frozen
):
    socket = await open_socket()
    await stored()
    thaw = await frozen(seen_before=601)
    await socket.disconnect(code=1001)
    await give_up()

    thaw()

    async def replayed():
        return await Event.objects.filter(kind="disconnect").aexists()

    await until(replayed)
    connection = await only_connection()
    assert (connection.cause, connection.close_code) == ("client", 1001)
    assert connection.detail == ""


async def test_nothing_written_by_a_lost_process_is_open_and_closed_at_once(
    open_socket, frozen
):
    await open_socket()
    await stored()
    thaw = await frozen(seen_before=601)
    await open_socket(path="/echo/meanwhile/")
    await give_up()

    thaw()

    async def settled():
        return await Connection.objects.filter(cause="process").acount() == 2

    await until(settled)
    rows = Connection.objects.order_by("path", "opened_at")
    assert [(row.path, row.cause) async for row in rows] == [
        ("/echo/here/", "process"),
        ("/echo/here/", ""),
        ("/echo/meanwhile/", "process"),
        ("/echo/meanwhile/", ""),
    ]


async def test_a_socket_whose_row_has_gone_gets_a_new_one(
    open_socket, settings, monkeypatch
):
    settings.MONITOR_HEARTBEAT_INTERVAL = 0.05
    monkeypatch.setattr("monitor.processes.drift.MEND_INTERVAL", 0.1)
    await open_socket()
    await stored()
    await Connection.objects.all().adelete()

    await until(lambda: Connection.objects.live().aexists())
    await until(lambda: Process.objects.filter(drift=1).aexists())

    connection = await Connection.objects.aget()
    assert connection.detail == "goes on: its row had gone"
    assert connection.accepted_at is not None
