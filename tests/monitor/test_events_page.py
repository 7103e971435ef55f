import pytest

from monitor.models import Connection, Event

from .conftest import recorded_event

pytestmark = pytest.mark.django_db(transaction=True)
LIVE = "/admin/monitor/live/"
TRACEBACK = "Traceback (most recent call last):\n  ...\nRuntimeError: <boom>\n"


@pytest.fixture
def error(connection):
    """An error that the connection's message caused."""
    return recorded_event(
        connection,
        2,
        Event.Kind.ERROR,
        detail="RuntimeError at shop.consumers:42 in receive",
        text=TRACEBACK,
        about_seq=1,
    )


def pages_of(connection, event):
    """Where an event is shown."""
    return [
        *(LIVE, f"{LIVE}{connection.pk}/", "/admin/monitor/event/"),
        f"/admin/monitor/event/{event.pk}/change/",
    ]


@pytest.mark.parametrize(
    ("omission", "size", "words"),
    [
        ("policy", 40, "text left out by the capture policy, 40 B"),
        ("binary", 12, "binary, 12 B"),
        ("full", 2048, "text left out because the journal was nearly full, 2.0 KiB"),
        ("redaction", 7, "text left out because masking it failed, 7 B"),
    ],
)
def test_why_a_text_is_missing_is_said_in_words(
    olga, connection, omission, size, words
):
    event = recorded_event(connection, 2, omission=omission, size=size)

    for page in pages_of(connection, event):
        assert words in olga.get(page).text


def test_a_text_that_was_cut_says_where_and_of_how_much(olga, connection):
    text = "ñ" * 512
    event = recorded_event(connection, 2, omission="cut", text=text, size=40960)

    dashboard, page, _, change = pages_of(connection, event)

    assert 'title="cut, 40.0 KiB in all"' in olga.get(dashboard).text
    for address in (page, change):
        assert text in olga.get(address).text
        assert "cut at 1.0 KiB of 40.0 KiB" in olga.get(address).text


@pytest.mark.parametrize(
    ("microseconds", "shown", "exact"),
    [
        (12, "12 µs", "12 µs"),
        (412, "0.4 ms", "412 µs"),
        (1204, "1.2 ms", "1,204 µs"),
        (96_500, "96 ms", "96,500 µs"),
        (2_310_448, "2.3 s", "2,310,448 µs"),
    ],
)
def test_how_long_a_message_took_is_shown_everywhere(
    vera, connection, microseconds, shown, exact
):
    event = recorded_event(connection, 2, size=1, handler_us=microseconds)

    *lists, change = pages_of(connection, event)

    for page in lists:
        text = vera.get(page).text
        assert shown in text
        assert f'title="{exact}"' in text
    assert exact in vera.get(change).text


def test_an_error_leads_to_the_message_that_caused_it(olga, connection, error):
    page = f"{LIVE}{connection.pk}/"
    cause = Event.objects.get(seq=1)

    assert f'<a href="{page}#event-1">RuntimeError at shop' in olga.get(LIVE).text
    text = olga.get(page).text
    assert '<tr id="event-1">' in text
    assert '<a href="#event-1">' in text
    change = olga.get(f"/admin/monitor/event/{error.pk}/change/").text
    assert f'<a href="/admin/monitor/event/{cause.pk}/change/">receive' in change


def test_a_cause_that_is_not_kept_is_named_by_its_number(olga, connection, error):
    Event.objects.filter(seq=1).delete()

    page = olga.get(f"{LIVE}{connection.pk}/").text
    change = olga.get(f"/admin/monitor/event/{error.pk}/change/").text

    assert 'href="#event-1"' not in page
    assert "number 1" in change


def test_a_traceback_is_for_those_who_may_read_texts(olga, vera, connection, error):
    _, page, _, change = pages_of(connection, error)

    for address in (page, change):
        assert "RuntimeError: &lt;boom&gt;\n</pre>" in olga.get(address).text
    for address in pages_of(connection, error):
        text = vera.get(address).text
        assert "RuntimeError at shop.consumers:42 in receive" in text
        assert "boom" not in text
        assert "Traceback" not in text


def test_what_was_sent_is_told_from_what_was_received(olga, vera, connection):
    event = recorded_event(connection, 2, Event.Kind.SEND, text="secret", size=6)

    for page in pages_of(connection, event):
        text = olga.get(page).text
        assert "kind-send" in text
        assert "secret" in text
        assert "secret" not in vera.get(page).text


def test_a_protocol_error_is_shown_like_other_causes(vera, connection):
    Connection.objects.update(
        cause="protocol", close_code=1002, closed_at=connection.opened_at
    )

    assert "protocol error (1002)" in vera.get(f"{LIVE}{connection.pk}/").text
    assert "protocol error" in vera.get("/admin/monitor/connection/").text
