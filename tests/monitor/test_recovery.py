import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from monitor.models import Action, Connection, Event, Process
from monitor.processes import recovery
from monitor.processes.local import LocalProcess, local_process
from monitor.recording.journal import Lock

from .conftest import only_connection, stored


def die(process):
    """What the system does for a process that is killed: nothing but let go."""
    process.writer.stop(timeout=5)
    process.stopping = True
    process.journal.close()
    process.lock.release()
    for recorder in process.registry:
        recorder.ended = True
        process.discard(recorder)


@pytest.fixture
def recover():
    """Start another process on the same directory, which looks for dead ones."""
    return sync_to_async(lambda: LocalProcess().recover())


async def test_what_is_not_ours_in_the_directory_stops_nothing(open_socket, recover):
    directory = local_process().directory
    (directory / "foo.lock").touch()
    (directory / "01a20281-6746-7fe9-96ef-d6178e99453e.lock").mkdir()

    assert await recover() == 0

    await open_socket()
    await stored()
    assert local_process().failures == 0


async def test_a_dead_process_is_taken_over_and_what_it_held_is_lost(
    open_socket, recover
):
    socket = await open_socket()
    await socket.send_to(text_data="last words")
    await socket.receive_from()
    dead = local_process()
    die(dead)
    await Process.objects.aupdate(stopped_at=None)

    assert await recover() == 1

    connection = await only_connection()
    assert connection.cause == Connection.Cause.PROCESS
    assert connection.detail.startswith("inferred")
    assert connection.closed_at >= connection.active_at
    assert connection.process.lost
    assert list(dead.directory.iterdir()) == []


async def test_what_it_had_not_stored_is_stored_even_its_own_row(
    open_socket, recover, monkeypatch
):
    process = local_process()
    monkeypatch.setattr(process.writer, "work", lambda: False)
    socket = await open_socket()
    await socket.send_to(text_data="never stored")
    await socket.receive_from()
    die(process)
    assert not await Process.objects.aexists()

    assert await recover() == 1

    row = await Process.objects.aget()
    assert (row.pk, row.pid, row.lost) == (process.id, process.pid, True)
    assert (await Event.objects.aget(kind="receive")).text == "never stored"
    connection = await Connection.objects.aget()
    assert (connection.cause, connection.messages_in) == ("process", 1)


async def test_an_inferred_end_is_no_earlier_than_what_its_journal_tells(
    open_socket, recover, monkeypatch
):
    # It was cut off from the database, and served its clients until it died.
    process = local_process()
    socket = await open_socket()
    await stored()
    monkeypatch.setattr(process.writer, "work", lambda: False)
    seen_at = timezone.now() - timezone.timedelta(seconds=601)
    await Process.objects.aupdate(seen_at=seen_at)
    assert await sync_to_async(recovery.give_up_unheard_of)()
    await socket.send_to(text_data="still here")
    await socket.receive_from()
    die(process)

    assert await recover() == 1

    connection, last = await only_connection(), await Event.objects.alatest("at")
    assert (connection.cause, last.text) == ("process", "still here")
    assert connection.closed_at >= last.at


async def test_a_process_that_lives_is_left_alone(open_socket, recover):
    await open_socket()
    await stored()

    assert await recover() == 0

    assert (await only_connection()).closed_at is None


async def test_a_lock_without_a_word_or_a_journal_is_cleared_away(
    transactional_db, recover
):
    lock = Lock(local_process().directory / "01a20281-6746-7fe9-96ef-d6178e99453e.lock")
    lock.make("")
    lock.release()

    assert await recover() == 1

    assert not lock.path.exists()
    assert (await Process.objects.aget()).started_at.year == 2026


async def test_what_was_asked_of_a_dead_process_is_already_gone(open_socket, recover):
    await open_socket()
    connection = await only_connection()
    die(local_process())
    await Process.objects.aupdate(stopped_at=None)
    action = await Action.objects.acreate(
        kind="disconnect",
        connection=connection,
        process_id=connection.process_id,
        asked_by_name="olga",
        reason="x",
    )

    await recover()

    await action.arefresh_from_db()
    assert (action.result, action.detail) == ("gone", "the process has ended")
