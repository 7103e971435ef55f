import threading
import uuid
from datetime import timedelta
from io import StringIO

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from monitor.models import Action, Connection, Event, Gap, Process, Trace
from monitor.recording import retention

from ..clock import until
from .conftest import stored

pytestmark = pytest.mark.django_db(transaction=True)
NOW = timezone.now()


def days_ago(days):
    return NOW - timedelta(days=days)


@pytest.fixture
def process():
    return Process.objects.create(pid=1, started_at=NOW, seen_at=NOW)


@pytest.fixture
def record(process):
    """Record a connection that closed so many days ago, with events of some kinds."""
    numbers = iter(range(1, 10**6))

    def record(days, *kinds, closed=True, text=""):
        at = days_ago(days)
        connection = Connection.objects.create(
            process=process,
            opened_at=at,
            active_at=at,
            closed_at=at if closed else None,
        )
        Event.objects.bulk_create(
            Event(connection=connection, seq=next(numbers), kind=kind, at=at, text=text)
            for kind in kinds
        )
        return connection

    return record


def kinds_left():
    return sorted(Event.objects.values_list("kind", flat=True))


def test_events_go_after_a_week_and_errors_after_a_month(record):
    record(8, "receive", "error")
    record(31, "receive", "error")
    record(6, "receive", "error")

    out = StringIO()
    call_command("monitor_prune", stdout=out)

    assert "Deleted 3 events." in out.getvalue()
    assert kinds_left() == ["error", "error", "receive"]


def test_connections_go_after_a_month_but_never_open_ones(record):
    record(31)
    kept = {record(29).pk, record(31, closed=False).pk}

    list(retention.prune())

    assert set(Connection.objects.values_list("pk", flat=True)) == kept


def test_what_staff_did_outlives_the_connection_it_was_done_to(record):
    old = record(31, "disconnect")
    Action.objects.create(connection=old, kind="disconnect", target="ana /ws/")

    list(retention.prune())

    assert Action.objects.get().connection_id is None


def test_each_kind_has_days_of_its_own_and_none_is_for_ever(record, settings):
    settings.MONITOR_EVENT_DAYS = 1
    settings.MONITOR_ERROR_DAYS = None
    settings.MONITOR_CONNECTION_DAYS = None
    record(400, "receive", "error")

    list(retention.prune())

    assert kinds_left() == ["error"]
    assert Connection.objects.count() == 1


def test_gaps_traces_and_processes_go_with_their_connections(record, process):
    old = days_ago(40)
    Gap.objects.create(process=process, began_at=old, ended_at=old, count=1)
    Trace.objects.create(kind="user", value="ana", ends_at=old, finished_at=old)
    Trace.objects.create(kind="user", value="bruno", ends_at=days_ago(-1))
    Process.objects.create(pid=2, started_at=old, seen_at=old, stopped_at=old)
    record(40)

    list(retention.prune())

    assert list(Process.objects.all()) == [process]
    assert not Gap.objects.exists()
    assert Trace.objects.get().value == "bruno"


def test_beyond_the_size_the_oldest_go_first(record, settings):
    for days in (5, 4, 3, 2, 1):
        record(days, *["receive"] * 20, text="x" * 10_000)
    settings.MONITOR_SIZE_LIMIT = retention.size() * 2 // 5

    list(retention.prune())

    assert retention.size() <= settings.MONITOR_SIZE_LIMIT * 1.1
    left = set(Event.objects.values_list("at", flat=True))
    assert left
    assert left <= {days_ago(2), days_ago(1)}


def test_an_old_error_does_not_make_the_rest_seem_larger(record, settings):
    record(20, "error")
    record(20, *["receive"] * 300)
    record(1, "receive")
    settings.MONITOR_SIZE_LIMIT = 100 * 2**10

    list(retention.prune())

    assert kinds_left() == ["error", "receive"]


def test_the_estimated_size_is_about_the_real_one(record):
    for days in range(10):
        record(days / 24, *["receive"] * 500, text="x" * 200)

    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "SELECT SUM(pgsize) FROM dbstat WHERE name LIKE '%monitor_event%'"
            )
        else:
            cursor.execute("SELECT pg_total_relation_size('monitor_event')")
        real = int(cursor.fetchone()[0])

    assert real / 1.6 < retention.size() < real * 1.6


async def test_a_server_prunes_by_itself_while_it_records(
    open_socket, record, settings, monkeypatch
):
    monkeypatch.setattr("monitor.processes.pruning.FIRST_AFTER", 0)
    await sync_to_async(record)(8, *["receive"] * 3000)
    await Process.objects.aupdate(stopped_at=NOW)  # the eldest prunes for all

    socket = await open_socket()
    await socket.send_to(text_data="meanwhile")
    await socket.receive_from()
    await stored()

    async def only_new_ones():
        return await Event.objects.filter(at__lt=days_ago(7)).acount() == 0

    await until(only_new_ones)
    assert (await Event.objects.aget(kind="receive")).text == "meanwhile"


def test_chunks_are_short_and_others_write_in_between(record):
    for _ in range(10):
        record(8, *["receive"] * 600)
    pk = uuid.uuid4()
    process = {"pk": pk, "pid": 3, "started_at": NOW, "seen_at": NOW}
    writer = threading.Thread(target=lambda: _write(process))

    chunks = []
    for chunk in retention.prune():
        chunks.append(chunk)
        if len(chunks) == 3:
            writer.start()
            writer.join()

    assert Process.objects.filter(pk=pk).exists()
    assert len(chunks) > 3
    assert sum(chunk.rows for chunk in chunks) == 6_000
    assert (
        max(chunk.seconds for chunk in chunks) < 1
    )  # a hundred ms, on a quiet machine


def _write(process):
    try:
        Process.objects.create(**process)
    finally:
        connection.close()
