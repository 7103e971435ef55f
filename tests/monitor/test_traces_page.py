import uuid
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from monitor.dashboard.consumers import DashboardConsumer
from monitor.models import Connection, Event, Process, Trace

from .conftest import recorded_event

pytestmark = pytest.mark.django_db(transaction=True)
LIVE = "/admin/monitor/live/"
STOP = f"{LIVE}traces/stop/"
LIST = "/admin/monitor/trace/"
ADD = f"{LIST}add/"
FREE = {"kind": "path", "value": "/ws/*", "minutes": 30, "mebibytes": 2}


@pytest.fixture
def trace():
    """A trace of ana's that goes on."""
    return Trace.objects.create(
        kind="user",
        value="ana",
        asked_by_name="olga",
        ends_at=timezone.now() + timedelta(minutes=10),
    )


def start(client, connection, **fields):
    """POST the form of a connection's page."""
    asked = {"kind": "connection", "minutes": 10, "mebibytes": 10} | fields
    return client.post(f"{LIVE}{connection.pk}/trace/", asked, follow=True)


@pytest.mark.parametrize("kind", ["connection", "user", "client", "path"])
def test_a_trace_is_started_from_a_connections_page(olga, connection, kind):
    page = olga.get(f"{LIVE}{connection.pk}/").text
    assert f'value="{kind}"' in page

    response = start(olga, connection, kind=kind, minutes=60, mebibytes=20)

    trace = Trace.objects.get()
    values = {"user": "ana", "client": "192.0.2.7", "path": "/ws/chat/"}
    assert trace.kind == kind
    assert trace.value == values.get(kind, str(connection.pk))
    assert (trace.asked_by, trace.asked_by_name) == (olga.user, olga.user.username)
    left = trace.ends_at - timezone.now()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    assert trace.bytes_limit == 20 * 2**20
    assert f"Tracing {trace} from now on." in response.text
    assert f"?of_trace={trace.pk}" in response.text
    assert "whole texts, both ways" in response.text


def test_what_was_masked_in_a_path_fits_anything(olga, connection):
    Connection.objects.update(path="/ws/invite/•••/")

    start(olga, connection, kind="path")

    assert Trace.objects.get().value == "/ws/invite/*/"


def test_of_a_closed_connection_what_may_come_back_is_traced(olga, connection):
    Connection.objects.update(closed_at=timezone.now())

    page = olga.get(f"{LIVE}{connection.pk}/").text
    refused = start(olga, connection, kind="connection").text

    assert 'name="kind" value="user"' in page
    assert 'name="kind" value="connection"' not in page
    assert "Say which one is to be traced." in refused
    assert not Trace.objects.exists()


def test_the_messages_of_a_consumer_that_keeps_them_out_cannot_be_traced(
    olga, connection
):
    consumer = f"{DashboardConsumer.__module__}.{DashboardConsumer.__qualname__}"
    Connection.objects.update(consumer=consumer)

    page = olga.get(f"{LIVE}{connection.pk}/").text

    assert 'name="kind" value="connection"' not in page
    assert "nothing of its messages" in page


def test_a_trace_of_anything_is_started_on_a_page_of_its_own(olga):
    assert olga.get(ADD).status_code == 200

    olga.post(ADD, FREE)

    trace = Trace.objects.get()
    assert (trace.kind, trace.value) == ("path", "/ws/*")
    assert trace.asked_by == olga.user
    assert trace.bytes_limit == 2 * 2**20
    assert Trace.objects.running().exists()


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"kind": "everything"}, "A user, a client, a path or a connection can be"),
        ({"kind": ""}, "Choose what is to be traced."),
        ({"value": " "}, "Say which one is to be traced."),
        ({"value": "/" + "x" * 2000}, "at most 2000 characters"),
        ({"value": "ws/chat"}, "A path begins with /"),
        ({"kind": "user", "value": "nobody"}, "There is no user of this name."),
        ({"kind": "client", "value": "192.0.2.7:80"}, "This is no IP address"),
        ({"kind": "client", "value": "here"}, "This is no IP address"),
        ({"kind": "connection", "value": "7"}, "This is no id of a connection"),
        (
            {"kind": "connection", "value": str(uuid.uuid4())},
            "There is no open connection with this id.",
        ),
        ({"minutes": 1441}, "A trace takes at most 24 hours"),
        ({"minutes": 0}, "A trace takes at least a minute."),
        ({"minutes": ""}, "Say how long the trace is to take."),
        ({"mebibytes": 51}, "A trace keeps at most 47 MiB."),
        ({"mebibytes": 0}, "A trace keeps at least 1 MiB."),
        ({"mebibytes": ""}, "Say how much the trace may keep."),
    ],
)
def test_bad_input_is_named_and_starts_nothing(olga, fields, complaint):
    page = olga.post(ADD, FREE | fields).text

    assert complaint in page
    assert not Trace.objects.exists()


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"kind": "everything"}, "A user, a client, a path or a connection can be"),
        ({"minutes": 100_000}, "A trace takes at most 24 hours"),
        ({"mebibytes": "much"}, "Enter a whole number."),
    ],
)
def test_bad_input_on_a_connections_page_is_named(olga, connection, fields, complaint):
    page = start(olga, connection, **fields).text

    assert complaint in page
    assert not Trace.objects.exists()


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("[2001:DB8:0::7]", "2001:db8::7"),
        ("::FFFF:192.0.2.7", "::ffff:192.0.2.7"),
    ],
)
def test_an_address_is_kept_as_servers_write_it(olga, typed, kept):
    olga.post(ADD, FREE | {"kind": "client", "value": typed})

    assert Trace.objects.get().value == kept


def test_a_connection_is_traced_by_its_id_however_it_is_written(olga, connection):
    olga.post(ADD, FREE | {"kind": "connection", "value": connection.pk.hex.upper()})

    assert Trace.objects.get().value == str(connection.pk)


def test_a_user_of_an_open_connection_needs_no_account(olga, connection):
    olga.post(ADD, FREE | {"kind": "user", "value": "ana"})

    assert Trace.objects.get().value == "ana"


def test_an_operator_stops_a_trace_once(olga, trace):
    first = olga.post(STOP, {"trace": trace.pk}, follow=True)
    trace.refresh_from_db()
    finished_at = trace.finished_at
    second = olga.post(STOP, {"trace": trace.pk, "next": "trace"}, follow=True)

    assert "Stopped tracing user ana." in first.text
    assert "had ended already" in second.text
    assert second.redirect_chain[-1][0] == f"{LIST}{trace.pk}/change/"
    trace.refresh_from_db()
    assert trace.result == Trace.Result.STOPPED
    assert trace.finished_at == finished_at
    assert not Trace.objects.running().exists()
    log = LogEntry.objects.get()
    assert (log.user, log.object_id) == (olga.user, str(trace.pk))


@pytest.mark.parametrize("key", ["", "none", "12345"])
def test_a_trace_that_does_not_exist_cannot_be_stopped(olga, key):
    assert olga.post(STOP, {"trace": key}).status_code == 404


def test_several_traces_are_stopped_from_their_list(olga, trace):
    other = Trace.objects.create(
        kind="path", value="/", asked_by_name="olga", ends_at=trace.ends_at
    )
    chosen = {"action": "stop_chosen", "_selected_action": [trace.pk, other.pk]}

    page = olga.post(LIST, chosen, follow=True).text

    assert "Stopped 2 traces." in page
    assert not Trace.objects.running().exists()


def test_the_list_tells_running_traces_from_others(vera, trace):
    facts = {"ends_at": trace.ends_at, "finished_at": timezone.now()}
    Trace.objects.create(kind="user", value="bruno", result="stopped", **facts)

    running = vera.get(f"{LIST}?state=running").text
    over = vera.get(f"{LIST}?state=over").text

    assert ("user ana" in running, "user bruno" in running) == (True, False)
    assert ("user ana" in over, "user bruno" in over) == (False, True)


def test_a_viewer_sees_traces_but_neither_starts_nor_stops_them(
    vera, connection, trace
):
    for path in (LIVE, LIST, f"{LIST}{trace.pk}/change/", f"{LIVE}{connection.pk}/"):
        page = vera.get(path)
        assert "user ana" in page.text
        for word in ("Stop", "Start a trace", "Start the trace"):
            assert word not in page.text.replace(">Stop</span>", "")

    assert vera.get(ADD).status_code == 403
    assert vera.post(ADD, FREE).status_code == 403
    assert start(vera, connection).status_code == 403
    assert vera.post(STOP, {"trace": trace.pk}).status_code == 403
    vera.post(LIST, {"action": "stop_chosen", "_selected_action": [trace.pk]})
    assert Trace.objects.get().finished_at is None


def test_a_trace_is_neither_changed_nor_deleted(olga, trace):
    change = f"{LIST}{trace.pk}/change/"

    assert olga.get(change).status_code == 200
    assert olga.post(change, FREE).status_code == 403
    assert olga.post(f"{LIST}{trace.pk}/delete/", {"post": "yes"}).status_code == 403
    trace.refresh_from_db()
    assert trace.value == "ana"


def test_the_messages_of_a_trace_are_listed_both_ways(olga, vera, connection, trace):
    recorded_event(connection, 2, text="hello", size=5, trace=trace, handler_us=1204)
    recorded_event(connection, 3, Event.Kind.SEND, text="hola", size=4, trace=trace)
    address = f"/admin/monitor/event/?of_trace={trace.pk}"

    for client in (olga, vera):
        page = client.get(address).text
        assert "Messages traced: user ana" in page
        assert page.count('<td class="field-direction">') == 2
        assert ">in</span>" in page
        assert ">out</span>" in page
        assert "1.2 ms" in page
        assert "1,204 µs" in page
        assert f"{LIVE}{connection.pk}/" in page
        assert "between you and me" not in page
        assert ("hello" in page) == ("hola" in page) == (client is olga)


def test_the_dashboard_keeps_what_runs_and_forgets_what_ended_long_ago(olga, trace):
    ended = {"result": "expired", "ends_at": timezone.now()}
    for minutes in (30, 90):
        at = timezone.now() - timedelta(minutes=minutes)
        value = f"ended-{minutes}"
        Trace.objects.create(kind="user", value=value, finished_at=at, **ended)

    page = olga.get(LIVE).text

    assert f'name="trace" value="{trace.pk}"' in page
    assert "● running" in page
    assert "ended-30" in page
    assert "its time was over" in page
    assert "ended-90" not in page


def test_many_ended_traces_do_not_hide_one_that_runs(olga, trace):
    now = timezone.now()
    facts = {"asked_by_name": "olga", "ends_at": now, "result": "full"}
    Trace.objects.bulk_create(
        Trace(kind="user", value="bruno", finished_at=now, **facts) for _ in range(60)
    )

    page = olga.get(LIVE).text

    assert f'<tr id="trace-{trace.pk}">' in page
    assert page.count('<tr id="trace-') == 50


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"ends_at": timezone.now()}, "its time was over"),
        ({"bytes_kept": 10, "bytes_limit": 10}, "its size was reached"),
    ],
)
def test_a_trace_that_no_process_has_ended_is_not_called_running(
    olga, trace, facts, words
):
    Trace.objects.update(**facts)

    page = olga.get(LIVE).text

    assert words in page
    assert "● running" not in page
    assert not Process.objects.exists()
