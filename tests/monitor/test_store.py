import json
import uuid
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from monitor.models import Connection, Event, Gap, Process
from monitor.recording.lines import AUTOMATIC, MESSAGE
from monitor.recording.progress import Progress
from monitor.recording.store import store

pytestmark = pytest.mark.django_db(transaction=True)
PROCESS = uuid.uuid4().hex
MICROSECONDS = 1_790_000_000_123_456


def line(seq, kind="receive", connection=None, **more):
    """A line of a journal, as the recorder writes them."""
    event = {
        "seq": seq,
        "kind": kind,
        "id": connection or CONNECTION,
        "at": MICROSECONDS + seq,
        "counts": [seq, 0, 10 * seq, 0],
        "took": [None, None],
    }
    return orjson.dumps(event | more)


def message(seq, text="hi", omission="", took=(None, None), **more):
    """A line that tells of a message."""
    values = dict(zip(MESSAGE, [None] * len(MESSAGE), strict=True))
    values |= {"seq": seq, "id": CONNECTION, "kind": "receive", "size": 10}
    values |= {"at": MICROSECONDS + seq, "text": text, "omission": omission}
    values |= {"messages_in": seq, "bytes_in": 10 * seq}
    values |= {"messages_out": 0, "bytes_out": 0}
    values |= dict(zip(("handled_seq", "handler_us"), took, strict=True))
    return orjson.dumps(list((values | more).values()))


def automatic(seq):
    """A line that tells of a message by which no person shows."""
    return orjson.dumps([*orjson.loads(message(seq)), AUTOMATIC])


def at(seq):
    """The time of a line."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=MICROSECONDS + seq)


CONNECTION = uuid.uuid4().hex
SCOPE = {"path": "/ws/", "ñ": ['«quoted"»']}
ROW = {
    "user_id": None,
    "username": "ana",
    "path": "/ws/",
    "client_host": "192.0.2.7",
    "client_port": 1,
    "user_agent": "",
    "origin": "",
    "session_hash": "",
    "scope": json.dumps(SCOPE),
    "route": "",
    "route_args": "{}",
    "consumer": "",
}
OPEN = line(1, "connect", row=ROW)
CLOSE = line(9, "disconnect", cause="client", code=1001, detail="")


def keep(lines, aside=None, seq=0):
    """Store lines of a dead process, which had stored those up to `seq`."""
    aside = [] if aside is None else aside
    progress = Progress(PROCESS, seq, is_replay=True)
    return store(
        progress, lines, set_aside=lambda bad, why: aside.append((bad, str(why)))
    )


def test_times_ids_and_json_come_back_as_they_went_in():
    keep([OPEN])

    connection = Connection.objects.get()
    assert connection.pk == uuid.UUID(CONNECTION)
    assert connection.opened_at.timestamp() == pytest.approx(
        (MICROSECONDS + 1) / 1e6, abs=1e-6
    )
    assert connection.scope == SCOPE
    assert connection.process_id == uuid.UUID(PROCESS)


def test_a_replayed_journal_writes_nothing_twice():
    lines = [OPEN, message(2), message(3), CLOSE]
    keep(lines, seq=0)
    before = list(Connection.objects.values()), list(Event.objects.values())

    keep(lines)
    keep(lines[:2], seq=9)

    assert (list(Connection.objects.values()), list(Event.objects.values())) == before


def test_a_commit_of_which_nobody_heard_is_not_stored_twice(monkeypatch):
    progress = Progress(PROCESS)
    commit = connection._commit

    def commit_and_break():
        commit()
        monkeypatch.undo()
        raise OperationalError("server closed the connection unexpectedly")

    Process.objects.create(
        id=PROCESS, pid=1, started_at=timezone.now(), seen_at=timezone.now()
    )
    lines = [OPEN, message(4, omission="full"), message(5, text=None), message(6)]
    aside = []

    def attempt(lines):
        store(progress, lines, set_aside=lambda bad, why: aside.append(bad))

    monkeypatch.setattr(connection, "_commit", commit_and_break)
    with pytest.raises(OperationalError):
        attempt(lines[:2])
    attempt(lines[:2])
    monkeypatch.setattr(connection, "_commit", commit_and_break)
    with pytest.raises(OperationalError):
        attempt(lines[2:3])  # passed over
    attempt(lines[2:])

    seqs = Event.objects.order_by("seq").values_list("seq", flat=True)
    assert list(seqs) == [1, 4, 6]
    assert aside == [lines[2]]
    gaps = dict(Gap.objects.values_list("kind", "count"))
    assert gaps == {"dropped": 2, "payload": 1}


def test_a_row_that_is_there_unexpectedly_is_passed_over():
    keep([OPEN, message(2)])
    aside = []

    keep([OPEN, message(2), message(3), message(4, text=None), message(5)], aside)

    seqs = Event.objects.order_by("seq").values_list("seq", flat=True)
    assert list(seqs) == [1, 2, 3, 5]
    assert [bad for bad, _ in aside] == [message(4, text=None)]


def test_counts_only_grow_and_the_first_end_stays():
    keep([OPEN, message(2), message(5), CLOSE])

    late = line(10, "disconnect", cause="lost", code=1006, detail="late")
    keep([message(3), late], seq=9)

    connection = Connection.objects.get()
    assert (connection.messages_in, connection.bytes_in) == (10, 100)
    assert (connection.cause, connection.close_code) == ("client", 1001)


def heard_at():
    return Connection.objects.get().heard_at


def test_a_journal_tells_when_a_person_showed_last():
    keep([OPEN, message(2), automatic(3), message(4, kind="send")])
    assert heard_at() == at(2)

    # Others come between, which only the connection has counted.
    keep([line(5, "error", heard_at=MICROSECONDS + 4, detail="")], seq=4)
    assert heard_at() == at(4)

    keep([line(9, "disconnect", cause="client", code=1001, detail="")], seq=5)
    assert heard_at() == at(4)


def test_where_no_person_showed_none_is_told():
    keep([OPEN, automatic(2), message(3, kind="send"), CLOSE])

    assert heard_at() is None


def test_a_sign_of_a_person_that_comes_late_takes_nothing_back():
    keep([OPEN, message(2), message(5)])

    keep([message(3)], seq=5)

    assert heard_at() == at(5)


def test_storing_tells_whether_connections_opened_or_closed():
    assert keep([OPEN]) is True
    assert keep([message(2)], seq=1) is False
    assert keep([CLOSE], seq=8) is True


@pytest.mark.parametrize(
    "bad",
    [
        b"not json at all",
        b"{}",
        message(4, kind=None),
        message(4, at="yesterday"),
        message(4, text={"no": "text"}),
        message(4, size=2**63),
        message(4, id="no uuid"),
    ],
)
def test_a_bad_line_is_set_aside_and_costs_no_other(bad):
    aside = []

    keep([OPEN, message(2), bad, message(5), message(6)], aside)

    assert [seq for seq, in Event.objects.order_by("seq").values_list("seq")] == [
        1, 2, 5, 6,
    ]  # fmt: skip
    assert [kept for kept, reason in aside] == [bad]
    assert Connection.objects.get().messages_in == 6


def test_each_event_carries_whose_connection_it_was():
    keep([OPEN, message(2)])
    keep([message(3)], seq=2)

    rows = set(Event.objects.values_list("seq", "username", "path", "client"))
    assert rows == {(seq, "ana", "/ws/", "192.0.2.7:1") for seq in (1, 2, 3)}


def test_numbers_that_are_left_out_are_a_gap_with_its_count_and_its_times():
    keep([OPEN, message(2), message(6), message(7), message(10)])

    gap = Gap.objects.get()
    assert (gap.kind, gap.count) == (Gap.Kind.DROPPED, 5)
    assert gap.began_at == Event.objects.get(seq=2).at
    assert gap.ended_at == Event.objects.get(seq=10).at


def test_what_is_lost_soon_after_belongs_to_the_same_gap():
    shed = {"text": "", "omission": "full"}
    keep([OPEN, message(2, **shed), message(3, **shed)])
    keep([message(4, **shed)], seq=3)

    gap = Gap.objects.get()
    assert (gap.kind, gap.count) == (Gap.Kind.PAYLOAD, 3)
    assert Event.objects.filter(omission="full").count() == 3


def test_a_gap_shows_even_between_two_batches():
    keep([OPEN, message(2)])
    keep([message(5)], seq=2)

    assert Gap.objects.get().count == 2


def test_what_is_set_aside_is_no_gap():
    keep([OPEN, message(2, kind=None), message(3)])

    assert not Gap.objects.exists()


def test_the_handler_time_finds_its_message_in_this_batch_and_in_an_older_one():
    keep([OPEN, message(2), message(3, took=[2, 150])])
    keep([message(4, took=[3, 170])], seq=3)

    times = Event.objects.order_by("seq").values_list("handler_us", flat=True)
    assert list(times) == [None, 150, 170, None]


def test_the_process_knows_how_far_it_has_come():
    now = "2026-11-22T10:00:00Z"
    Process.objects.create(pk=PROCESS, pid=1, started_at=now, seen_at=now)

    keep([OPEN, message(2), message(3)])

    assert Process.objects.get().stored_seq == 3
