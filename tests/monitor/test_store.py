import uuid

import orjson
import pytest

from monitor.models import Connection, Event
from monitor.recording.store import store

pytestmark = pytest.mark.django_db(transaction=True)
PROCESS = str(uuid.uuid4())
MICROSECONDS = 1_790_000_000_123_456


def line(seq, kind="receive", connection=None, **more):
    """A line of a journal, as the recorder writes them."""
    record = {
        "seq": seq,
        "kind": kind,
        "connection_id": connection or CONNECTION,
        "at": MICROSECONDS + seq,
        "counts": [seq, 0, 10 * seq, 0],
        "user_id": None,
        "username": "ana",
        "path": "/ws/",
        "client": "192.0.2.7:1",
    }
    return orjson.dumps(record | more)


CONNECTION = str(uuid.uuid4())
ROW = {
    "user_id": None,
    "username": "ana",
    "path": "/ws/",
    "client_host": "192.0.2.7",
    "client_port": 1,
    "user_agent": "",
    "origin": "",
    "session_hash": "",
    "scope": {"path": "/ws/", "ñ": ['«quoted"»']},
    "route": "",
    "route_args": {},
    "consumer": "",
}
OPEN = line(1, "connect", row=ROW)
CLOSE = line(9, "disconnect", cause="client", code=1001, detail="")


def keep(lines, aside=None):
    aside = [] if aside is None else aside
    return store(
        PROCESS, lines, lambda batch: None, lambda bad, why: aside.append((bad, why))
    )


def test_times_ids_and_json_come_back_as_they_went_in():
    keep([OPEN])

    connection = Connection.objects.get()
    assert connection.pk == uuid.UUID(CONNECTION)
    assert connection.opened_at.timestamp() == pytest.approx(
        (MICROSECONDS + 1) / 1e6, abs=1e-6
    )
    assert connection.scope == ROW["scope"]
    assert Event.objects.get().process_id == uuid.UUID(PROCESS)


def test_a_replayed_journal_writes_nothing_twice():
    lines = [OPEN, line(2), line(3), CLOSE]
    keep(lines)
    before = list(Connection.objects.values()), list(Event.objects.values())

    keep(lines)
    keep(lines[:2])

    assert (list(Connection.objects.values()), list(Event.objects.values())) == before


def test_counts_only_grow_and_the_first_end_stays():
    keep([OPEN, line(2), line(5), CLOSE])

    keep([line(3), line(10, "disconnect", cause="lost", code=1006, detail="late")])

    connection = Connection.objects.get()
    assert (connection.messages_in, connection.bytes_in) == (10, 100)
    assert (connection.cause, connection.close_code) == ("client", 1001)


def test_storing_tells_whether_connections_opened_or_closed():
    assert keep([OPEN]) is True
    assert keep([line(2)]) is False
    assert keep([CLOSE]) is True


@pytest.mark.parametrize(
    "bad",
    [
        b"not json at all",
        b"{}",
        line(4, kind=None),
        line(4, at="yesterday"),
        line(4, connection="no uuid"),
    ],
)
def test_a_bad_line_is_set_aside_and_costs_no_other(bad):
    aside = []

    keep([OPEN, line(2), bad, line(5), line(6)], aside)

    assert [seq for seq, in Event.objects.order_by("seq").values_list("seq")] == [
        1, 2, 5, 6,
    ]  # fmt: skip
    assert [kept for kept, reason in aside] == [bad]
    assert Connection.objects.get().messages_in == 6
