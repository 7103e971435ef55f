import json

import pytest
from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.core.checks import run_checks
from django.urls import path

from monitor.models import CapturePolicy, Connection, Event
from monitor.processes.commands import announce
from monitor.processes.local import local_process

from ..clock import until
from .conftest import Echo, recorded, stored


async def say(socket, *texts):
    for text in texts:
        await socket.send_to(text_data=text)
        await socket.receive_from()
    await stored()


async def texts():
    """What is kept of received messages, in their order."""
    return [
        (event.text, event.omission)
        async for event in Event.objects.filter(kind="receive").order_by("seq")
    ]


@pytest.mark.parametrize(
    ("level", "kept"),
    [
        ("meta", [("", "policy")]),
        ("preview", [("twelve bytes"[:10], "cut")]),
        ("full", [("twelve bytes", "")]),
    ],
)
async def test_a_level_says_how_much_of_a_text_is_kept(
    open_socket, settings, level, kept
):
    settings.MONITOR_CAPTURE = {"/echo/*": level}
    settings.MONITOR_TEXT_LIMIT = 10
    socket = await open_socket()

    await say(socket, "twelve bytes")

    assert await texts() == kept
    assert (await Event.objects.aget(kind="receive")).size == 12


@pytest.mark.parametrize(("level", "counted"), [("counts", 2), ("off", 0)])
async def test_a_level_without_events_still_knows_the_connection(
    open_socket, settings, level, counted
):
    settings.MONITOR_CAPTURE = {"*": level}
    socket = await open_socket()

    await say(socket, "one", "two")

    connection = await Connection.objects.aget()
    assert (connection.messages_in, connection.messages_out) == (counted, counted)
    assert connection.accepted_at is not None
    assert await texts() == []


async def test_the_longest_pattern_decides_and_staff_go_before_the_setting(
    open_socket, settings
):
    settings.MONITOR_CAPTURE = {"*": "meta", "/echo/here/": "full"}
    await CapturePolicy.objects.acreate(pattern="/echo/*", level="meta")
    await CapturePolicy.objects.acreate(pattern="/e*", level="off")
    socket = await open_socket()
    await until(lambda: local_process().rules.policies)

    await say(socket, "hello")

    assert await texts() == [("", "policy")]


async def test_a_policy_of_staff_acts_on_open_connections(open_socket):
    socket = await open_socket()
    await say(socket, "kept")

    await CapturePolicy.objects.acreate(pattern="/echo/*", level="meta")
    await sync_to_async(announce)()
    await until(lambda: local_process().rules.policies)
    await say(socket, "not kept")
    await CapturePolicy.objects.all().adelete()
    # Also without a word: processes look by themselves.
    await until(lambda: not local_process().rules.policies)
    await say(socket, "kept again")

    assert await texts() == [("kept", ""), ("", "policy"), ("kept again", "")]


class Typing(Echo):
    monitor_control_frames = {"typing", "ping"}


async def test_control_frames_are_only_counted(open_socket):
    socket = await open_socket(recorded(path("typing/", Typing.as_asgi())), "/typing/")
    said = [
        '{"type": "typing"}',
        '{"type": "message", "text": "typing"}',
        '{"type": ["typing"]}',
        '["typing"]',
        "typing",
        '{"type": "ping", "n": 1}',
    ]

    await say(socket, *said)

    assert [text for text, _ in await texts()] == said[1:5]
    assert (await Connection.objects.aget()).messages_in == 6


async def test_binary_messages_are_kept_by_their_size(open_socket):
    socket = await open_socket()

    await socket.send_to(bytes_data=b"\0\xff")
    await socket.receive_from()
    await stored()

    assert await texts() == [("", "binary")]
    assert (await Event.objects.aget(kind="receive")).size == 2


async def test_secrets_are_masked_before_they_are_written_anywhere(open_socket):
    socket = await open_socket()
    journal = local_process().journal.directory

    await socket.send_to(text_data='{"password": "hunter2-canary"}')
    await socket.receive_from()
    await stored()

    assert await texts() == [('{"password": "•••"}', "")]
    assert b"canary" not in b"".join(path.read_bytes() for path in journal.iterdir())


def redact(text, path):
    assert path == "/echo/here/"
    return text.replace("Ana", "somebody")


def broken_redact(text, path):
    raise ValueError(text)


async def test_the_project_can_redact_what_masking_cannot_know(open_socket, settings):
    settings.MONITOR_REDACT = f"{__name__}.redact"
    socket = await open_socket()

    await say(socket, "Ana was here")

    assert await texts() == [("somebody was here", "")]


async def test_a_text_that_cannot_be_redacted_is_not_kept(open_socket, settings):
    settings.MONITOR_REDACT = f"{__name__}.broken_redact"
    socket = await open_socket()

    await say(socket, "Ana was here")

    assert await texts() == [("", "redaction")]
    assert local_process().failures == 1
    local_process().failures = 0


async def test_the_handler_time_of_each_message_is_kept(open_socket):
    socket = await open_socket()

    await say(socket, "one", "two")
    await socket.send_to(text_data="three")
    await socket.receive_from()
    # The last one of an idle connection, too.
    await until(lambda: not local_process().registry.touched)
    await stored()

    rows = Event.objects.filter(kind="receive").values_list("handler_us", flat=True)
    times = [time async for time in rows]
    assert len(times) == 3
    assert all(0 < time < 5_000_000 for time in times)


class Slow(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        raise ValueError(f"cannot take {text_data}")


async def test_an_error_does_not_quote_the_secrets_of_its_message(open_socket):
    socket = await open_socket(recorded(path("slow/", Slow.as_asgi())), "/slow/")

    await socket.send_to(text_data='{"pwd": "hunter2-canary", "pin": 90210}')
    with pytest.raises(ValueError, match="canary"):
        await socket.receive_output()
    await stored()

    error = await Event.objects.aget(kind="error")
    assert "ValueError" in error.text
    assert "canary" not in error.text
    assert "90210" not in error.text
    message = await Event.objects.aget(kind="receive")
    assert error.about_seq == message.seq


async def test_of_a_message_too_long_to_be_searched_no_error_quotes_anything(
    open_socket,
):
    socket = await open_socket(recorded(path("slow/", Slow.as_asgi())), "/slow/")

    await socket.send_to(text_data=json.dumps({"a": "x" * 2**16, "pwd": "canary"}))
    with pytest.raises(ValueError, match="canary"):
        await socket.receive_output()
    await stored()

    error = await Event.objects.aget(kind="error")
    assert "in receive" in error.text
    assert error.text.endswith("ValueError: •••\n")


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        ("MONITOR_CAPTURE", {"/ws/": "everything"}, "E006"),
        ("MONITOR_CAPTURE", {"ws/": "meta"}, "E006"),
        ("MONITOR_CAPTURE", {5: "meta"}, "E006"),
        ("MONITOR_CAPTURE", "meta", "E009"),
        ("MONITOR_REDACT", str.upper, "E009"),
        ("MONITOR_JOURNAL_LIMIT", "256MB", "E009"),
        ("MONITOR_TEXT_LIMIT", 0, "E009"),
        ("MONITOR_BATCH_INTERVAL", "50ms", "E009"),
        ("MONITOR_PRUNE_INTERVAL", float("nan"), "E009"),
        ("MONITOR_EVENT_DAYS", 0, "E009"),
        ("MONITOR_EVENT_DAYS", -1, "E009"),
        ("MONITOR_SIZE_LIMIT", "5GB", "E009"),
        ("MONITOR_SESSION_KEYS", "cart", "E009"),
        ("MONITOR_ENABLED", "false", "E009"),
        ("MONITOR_JOURNAL_DIR", __file__, "E002"),
        ("MONITOR_CAPTUER", {}, "W001"),
        ("MONITOR_REDACT", "no.such.function", "E007"),
        ("MONITOR_REDACT", "monitor.scope.MASK", "E007"),
        ("MONITOR_LIMITS", "no.such.function", "E010"),
        ("MONITOR_LIMITS", "monitor.scope.MASK", "E010"),
    ],
)
def test_a_setting_that_makes_no_sense_is_told_at_the_start(
    settings, name, value, number
):
    setattr(settings, name, value)

    assert [error.id for error in run_checks(tags=["monitor"])] == [f"monitor.{number}"]


async def test_a_setting_that_makes_no_sense_does_not_fail_the_connection(
    open_socket, settings
):
    settings.MONITOR_JOURNAL_LIMIT = "256MB"

    socket = await open_socket()
    await socket.send_to(text_data="hello")

    assert await socket.receive_from() == "hello"


def test_the_usual_settings_pass_the_checks():
    assert run_checks(tags=["monitor"]) == []
