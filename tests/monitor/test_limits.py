from asgiref.sync import sync_to_async

from monitor.models import Connection, Event, Gap, Process
from monitor.processes.local import local_process

from ..clock import until
from .conftest import stored

LIMIT = 20_000  # bytes of journal


async def fill(socket, messages):
    for number in range(messages):
        await socket.send_to(text_data=f"message {number} " + "x" * 200)
        await socket.receive_from()


async def test_a_database_that_is_away_costs_texts_first_then_messages_but_no_ends(
    open_socket, settings, monkeypatch
):
    settings.MONITOR_JOURNAL_LIMIT = LIMIT
    process = local_process()
    away = monkeypatch.context()
    with away as patch:
        patch.setattr(process.writer, "work", lambda: False)
        socket = await open_socket()
        await fill(socket, 300)
        another = await open_socket()
        await another.disconnect()
        await socket.disconnect()
        assert LIMIT < process.journal.waiting < LIMIT + 5000
        assert process.shed > 0
        assert process.dropped > 0

    process.wake()
    await stored()

    messages = Event.objects.filter(kind="receive")
    whole = await messages.filter(omission="").acount()
    assert whole > 10
    assert await messages.filter(omission="full", text="").acount() == process.shed
    assert whole + process.shed + process.dropped == 300
    assert await Connection.objects.filter(closed_at=None).acount() == 0
    gaps = {gap.kind: gap async for gap in Gap.objects.all()}
    assert gaps["payload"].count == process.shed
    assert gaps["dropped"].count == process.dropped
    assert gaps["payload"].began_at < gaps["dropped"].ended_at
    # The connection counted what its events do not show.
    assert await Connection.objects.filter(messages_in=300).aexists()
    process.dropped = 0


async def test_losses_are_on_the_row_of_the_process(open_socket, settings):
    await open_socket()
    process = local_process()
    await stored()

    process.dropped, process.shed = 3, 5
    settings.MONITOR_HEARTBEAT_INTERVAL = 0
    process.wake()

    async def told():
        row = await Process.objects.aget()
        return (row.dropped, row.shed) == (3, 5)

    process.duties._beat_due_at = 0
    await until(told)
    process.dropped = 0


async def test_a_full_disk_loses_events_and_says_so(open_socket, monkeypatch):
    socket = await open_socket()
    process = local_process()
    await stored()
    append = process.journal.append

    def refuse(line, segment_size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(process.journal, "append", refuse)
    await fill(socket, 2)
    monkeypatch.setattr(process.journal, "append", append)
    await fill(socket, 1)
    await stored()

    gap = await sync_to_async(Gap.objects.get)()
    assert (gap.kind, gap.count) == ("dropped", 2)
    assert process.dropped == 2
    process.dropped = 0
