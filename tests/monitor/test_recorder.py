import asyncio
import atexit
import gc
import os
import threading

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import DataError, OperationalError
from django.urls import path

from monitor import turns
from monitor.middleware import MonitorMiddleware, note_refusal
from monitor.models import Connection, Event, Gap
from monitor.processes.local import LocalProcess, local_process
from monitor.recording.recorder import Recorder
from monitor.routing import MonitorRouter

from ..clock import until
from .conftest import Echo, kinds, only_connection, recorded, stored

Cause = Connection.Cause


async def test_a_connection_is_recorded_with_its_user_path_route_and_client(
    open_socket, user_of, headers_of
):
    ana = await user_of("ana")

    await open_socket(headers=await headers_of(ana))

    connection = await only_connection()
    assert connection.user_id == ana.pk
    assert connection.username == "ana"
    assert connection.path == "/echo/here/"
    assert (connection.route, connection.route_args) == ("echo", {"name": "here"})
    assert connection.consumer.endswith("conftest.Echo")
    assert connection.client == "192.0.2.7:52024"
    assert connection.origin == "http://testserver"
    assert connection.process.pid == os.getpid()
    assert connection.accepted_at >= connection.opened_at


async def test_each_event_carries_user_path_and_client(
    open_socket, user_of, headers_of
):
    ana = await user_of("ana")
    socket = await open_socket(headers=await headers_of(ana))

    await socket.send_to(text_data="hello")
    await socket.receive_from()
    await socket.disconnect(code=1001)

    assert await kinds() == ["connect", "accept", "receive", "disconnect"]
    async for event in Event.objects.all():
        assert (event.user_id, event.username) == (ana.pk, "ana")
        assert (event.path, event.client) == ("/echo/here/", "192.0.2.7:52024")
    assert (await Event.objects.aget(kind="receive")).text == "hello"


async def test_messages_are_counted_both_ways_and_stored_one_way(open_socket):
    socket = await open_socket()

    for text in ("é", "two", "three"):
        await socket.send_to(text_data=text)
        await socket.receive_from()
    await stored()

    connection = await only_connection()
    assert (connection.messages_in, connection.messages_out) == (3, 3)
    assert (connection.bytes_in, connection.bytes_out) == (10, 10)
    assert await Event.objects.filter(kind="receive").acount() == 3


async def test_what_is_only_sent_is_counted_without_an_event(open_socket):
    async def push(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(5):
            await send({"type": "websocket.send", "text": "news"})
        await receive()

    await open_socket(recorded(path("push/", push, name="push")), "/push/")

    connection = await only_connection()
    assert (connection.messages_out, connection.bytes_out) == (5, 20)
    assert connection.closed_at is None


@pytest.mark.parametrize(
    ("code", "cause"),
    [(1000, Cause.CLIENT), (1001, Cause.CLIENT), (1006, Cause.LOST), (1012, "server")],
)
async def test_the_end_is_recorded_with_the_code_and_what_it_means(
    open_socket, code, cause
):
    socket = await open_socket()

    await socket.disconnect(code=code)

    connection = await only_connection()
    assert (connection.close_code, connection.cause) == (code, cause)
    assert connection.closed_at is not None


async def test_a_close_by_the_application_is_recorded_as_its_own(open_socket):
    socket = await open_socket()

    await socket.send_to(text_data="close")
    await socket.receive_output()
    await socket.disconnect(code=4000)

    connection = await only_connection()
    assert (connection.cause, connection.close_code) == (Cause.APPLICATION, 4000)
    assert connection.detail == "asked to"
    assert (await kinds()).count("disconnect") == 1


async def test_an_exception_is_recorded_and_raised_unchanged(open_socket):
    socket = await open_socket()

    await socket.send_to(text_data="boom")
    with pytest.raises(RuntimeError, match="boom"):
        await socket.receive_output()

    connection = await only_connection()
    assert connection.cause == "error"
    assert connection.detail.startswith("RuntimeError at tests.monitor.conftest:")
    assert connection.detail.endswith(" in receive")
    error = await Event.objects.aget(kind="error")
    assert error.text.startswith("Traceback")
    assert error.text.endswith("RuntimeError: boom\n")
    assert error.about_seq == (await Event.objects.aget(text="boom")).seq
    assert (await kinds())[-2:] == ["receive", "error"]


async def test_a_cancelled_application_was_stopped_by_the_server(open_socket):
    socket = await open_socket()

    socket.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await socket.future

    connection = await only_connection()
    assert connection.cause == Cause.SERVER


async def test_an_application_that_returns_without_closing_is_closed_for_it(
    open_socket,
):
    async def careless(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})

    socket = await open_socket(recorded(path("careless/", careless)), "/careless/")

    assert await socket.receive_output() == {"type": "websocket.close", "code": 1000}
    connection = await only_connection()
    assert connection.cause == Cause.APPLICATION


async def test_an_unknown_path_is_refused_and_recorded(open_socket):
    socket = await open_socket(path="/nowhere/")

    assert not socket.accepted
    connection = await only_connection()
    assert (connection.cause, connection.detail) == (Cause.REJECT, "unknown path")
    assert connection.close_code == 403
    assert await kinds() == ["connect", "reject"]


async def test_a_refusal_after_accept_is_a_reject_when_the_application_says_so(
    open_socket,
):
    async def polite(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        note_refusal(scope, "not on the list")
        await send({"type": "websocket.close", "code": 4403})

    await open_socket(recorded(path("party/", polite)), "/party/")

    connection = await only_connection()
    assert (connection.cause, connection.detail) == (Cause.REJECT, "not on the list")
    assert connection.close_code == 4403
    assert await kinds() == ["connect", "accept", "reject"]


async def test_routers_in_routers_are_seen_through(open_socket):
    inner = MonitorRouter([path("b/<int:n>/", Echo.as_asgi(), name="inner")])
    plain = URLRouter([path("c/", Echo.as_asgi())])
    app = recorded(path("a/", inner), path("a/", plain))

    first = await open_socket(app, "/a/b/7/")
    second = await open_socket(app, "/a/c/")
    unknown = await open_socket(app, "/a/d/")

    assert (first.accepted, second.accepted, unknown.accepted) == (True, True, False)
    await stored()
    connection = await Connection.objects.aget(path="/a/b/7/")
    assert (connection.route, connection.route_args) == ("inner", {"n": "7"})


async def test_switched_off_it_is_a_plain_pass_through(open_socket, settings):
    settings.MONITOR_ENABLED = False
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await Echo.as_asgi()(scope, receive, send)

    socket = await open_socket(MonitorMiddleware(app))
    await socket.send_to(text_data="hello")

    assert await socket.receive_from() == "hello"
    assert "monitor" not in scopes[0]
    assert not await Connection.objects.aexists()


async def test_a_monitor_that_fails_does_not_fail_the_connection(
    open_socket, monkeypatch
):
    process = local_process()
    socket = await open_socket()

    def full_disk(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(process.journal, "append", full_disk)
    await socket.send_to(text_data="still here")

    assert await socket.receive_from() == "still here"
    assert process.dropped == 1
    monkeypatch.undo()
    process.dropped = 0


async def test_a_sent_message_that_could_not_be_counted_is_no_gap(
    open_socket, monkeypatch
):
    process = local_process()
    socket = await open_socket()
    monkeypatch.setattr("monitor.recording.recorder.message_size", None)

    await socket.send_to(text_data="ñ")

    assert await socket.receive_from() == "ñ"
    assert (process.failures, process.dropped) == (1, 0)
    await socket.disconnect()
    await stored()
    assert not await Gap.objects.aexists()
    process.failures = 0


async def test_a_monitor_that_is_set_up_wrong_does_not_fail_the_connection(
    open_socket, settings
):
    settings.MONITOR_JOURNAL_DIR = ""

    socket = await open_socket()
    await socket.send_to(text_data="hello")

    assert await socket.receive_from() == "hello"


async def test_texts_are_cut_at_the_limit_and_their_size_is_kept(open_socket, settings):
    settings.MONITOR_TEXT_LIMIT = 10
    socket = await open_socket()

    for text in ("x" * 50, "ñ" * 50):
        await socket.send_to(text_data=text)
        assert await socket.receive_from() == text
    await stored()

    ascii_text, other_text = [
        event async for event in Event.objects.filter(kind="receive").order_by("seq")
    ]
    assert (ascii_text.text, ascii_text.size) == ("x" * 10, 50)
    assert (other_text.text, other_text.size) == ("ñ" * 5, 100)


@pytest.mark.parametrize("text", ["a\0b", "\ud800 alone", "😀" * 9000, "[" * 100_000])
async def test_poisonous_texts_reach_the_application_and_the_database(
    open_socket, text
):
    async def listen(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        heard.append((await receive())["text"])

    heard = []
    socket = await open_socket(recorded(path("listen/", listen)), "/listen/")
    await socket.send_to(text_data=text)
    await socket.receive_output()

    assert heard == [text]
    assert (await kinds()).count("receive") == 1
    assert local_process().set_aside == 0


async def test_bytes_are_recorded_by_their_size(open_socket):
    socket = await open_socket()

    await socket.send_to(bytes_data=b"\x00\xff" * 8)
    await socket.receive_from()

    await stored()
    event = await Event.objects.aget(kind="receive")
    assert (event.text, event.size) == ("", 16)


async def test_an_event_is_stored_although_its_user_is_gone(
    open_socket, user_of, headers_of
):
    ana = await user_of("ana")
    socket = await open_socket(headers=await headers_of(ana))
    await get_user_model().objects.filter(pk=ana.pk).adelete()

    await socket.send_to(text_data="who was I?")
    await socket.receive_from()

    await stored()
    event = await Event.objects.aget(kind="receive")
    assert (event.username, event.text) == ("ana", "who was I?")


async def test_no_secret_of_the_handshake_is_kept(open_socket, user_of, headers_of):
    ana = await user_of("ana")
    headers = await headers_of(ana)
    cookies = headers[0][1].decode()
    session_key = cookies.partition("=")[2].partition(";")[0]
    headers += [
        (b"authorization", b"Bearer canary-bearer"),
        (b"x-api-key", b"canary-header"),
        (b"sec-websocket-protocol", b"chat, canary-subprotocol-0123456789abcdef"),
    ]

    await open_socket(
        path="/echo/here/?token=canary-token&sid=canary-sid&x=canary-0123456789abcdef0123"
        "&page=2",
        headers=headers,
        subprotocols=["chat", "canary-subprotocol-0123456789abcdef"],
    )

    connection = await only_connection()
    kept = repr(vars(connection))
    assert "canary" not in kept
    assert session_key not in kept
    assert connection.scope["query"]["page"] == ["2"]
    assert connection.scope["cookies"] == ["csrftoken", "sessionid"]


async def test_the_session_is_known_by_its_mark_its_keys_and_its_end(
    open_socket, user_of, headers_of, settings
):
    settings.MONITOR_SESSION_KEYS = ["theme"]
    ana = await user_of("ana")
    headers = await headers_of(ana)

    await open_socket(headers=headers)

    connection = await only_connection()
    session = await Session.objects.aget()
    assert connection.session_expires_at == session.expire_date
    assert len(connection.session_hash) == 16
    described = connection.scope["session"]
    assert described["keys"] == [
        "_auth_user_backend",
        "_auth_user_hash",
        "_auth_user_id",
    ]
    assert described["values"] == {}
    assert described["hash"] == connection.session_hash


async def test_the_journal_is_gone_once_everything_is_stored(open_socket):
    socket = await open_socket()
    process = local_process()
    await socket.disconnect()

    assert process.stop()

    assert list(process.directory.iterdir()) == []
    connection = await Connection.objects.select_related("process").aget()
    assert connection.process.stopped_at is not None


async def test_what_came_as_the_process_began_to_stop_is_stored(
    open_socket, monkeypatch
):
    process = local_process()
    has_read, may_go_on = threading.Event(), threading.Event()
    look = process.duties.orders.look

    def wait_and_look(*args, **kwargs):
        has_read.set()
        assert may_go_on.wait(5)
        return look(*args, **kwargs)

    early = await open_socket()
    await stored()
    monkeypatch.setattr(process.duties.orders, "look", wait_and_look)
    process.wake()
    await asyncio.to_thread(has_read.wait, 5)  # the journal, with nothing in it
    await early.disconnect()
    late = await open_socket()
    await late.disconnect()
    stop = asyncio.create_task(asyncio.to_thread(process.stop))
    await until(lambda: process.stopping)
    may_go_on.set()

    assert await stop
    causes = Connection.objects.values_list("cause", flat=True)
    assert [cause async for cause in causes] == ["client", "client"]
    assert not await Gap.objects.aexists()


async def test_a_process_whose_end_cannot_be_written_is_taken_over(
    open_socket, monkeypatch
):
    process = local_process()
    await open_socket()
    await stored()

    def refuse(*args, **kwargs):
        raise OperationalError("the database is gone")

    monkeypatch.setattr("monitor.processes.heartbeat.beat", refuse)
    assert not await asyncio.to_thread(process.stop)
    monkeypatch.undo()
    process.lock.release()  # as its death does

    assert await sync_to_async(LocalProcess().recover)() == 1
    connection = await Connection.objects.select_related("process").aget()
    assert connection.cause == "server"
    assert connection.process.stopped_at


async def test_a_stop_waits_for_no_recovery(open_socket, monkeypatch):
    process = local_process()
    begun = threading.Event()

    def endless():
        while True:
            begun.set()
            yield False

    monkeypatch.setattr(process, "take_over_dead", endless)
    await open_socket()
    await asyncio.to_thread(begun.wait, 5)

    assert await asyncio.to_thread(process.stop)


def test_a_forked_child_can_store_whatever_its_parent_was_doing():
    with turns._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if turns._lock.acquire(timeout=5) else 1)
    assert os.waitpid(child, 0)[1] == 0


async def test_a_session_store_that_fails_costs_no_row(
    open_socket, user_of, headers_of, monkeypatch
):
    def refuse(*args):
        raise DataError("A string literal cannot contain NUL (0x00) characters.")

    monkeypatch.setattr("monitor.processes.storing.session_expiries", refuse)
    await open_socket(headers=await headers_of(await user_of("ana")))

    connection = await only_connection()
    assert (connection.username, connection.session_expires_at) == ("ana", None)


async def test_a_process_that_is_never_idle_keeps_nothing_of_what_is_over(
    open_socket, monkeypatch
):
    process = local_process()
    quiet = await open_socket()
    await stored()
    # As if there were always something behind what has just been stored.
    monkeypatch.setattr(type(process.journal), "waiting", 1)

    for _ in range(5):
        socket = await open_socket()
        await socket.send_to(text_data="hello")
        await socket.disconnect()
    await until(lambda: process.duties.storing.progress.seq == process.seq)
    process.writer.wake()
    await until(lambda: not any(r.ended for r in process.registry.touched))
    monkeypatch.undo()

    await quiet.send_to(text_data="hello")
    await quiet.receive_from()
    await stored()
    counts = Connection.objects.values_list("messages_in", "messages_out")
    assert [count async for count in counts] == [(1, 1)] * 6


async def test_a_connection_that_is_over_needs_no_garbage_collector(transactional_db):
    messages = [{"type": "websocket.connect"}, {"type": "websocket.disconnect"}]

    async def receive():
        return messages.pop(0)

    async def send(message):
        pass

    async def app(scope, receive, send):
        await receive()
        await receive()

    def recorders():
        return sum(isinstance(thing, Recorder) for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    before = recorders()
    try:
        scope = {"type": "websocket", "path": "/app/", "headers": []}
        monitored = MonitorMiddleware(MonitorRouter([path("app/", app)]))
        await monitored(scope, receive, send)
        await stored()
        await until(lambda: recorders() == before)
    finally:
        gc.enable()


async def test_a_journal_that_cannot_be_read_for_a_moment_costs_no_count(
    open_socket, monkeypatch
):
    process = local_process()
    socket = await open_socket()
    await stored()
    read, failed = process.journal.read, threading.Event()

    def fail_once(position):
        if not failed.is_set():
            failed.set()
            raise OSError("Too many open files")
        return read(position)

    monkeypatch.setattr("monitor.recording.writer.LONGEST_RETRY", 0.1)
    monkeypatch.setattr(process.journal, "read", fail_once)
    await socket.send_to(text_data="hello")
    await socket.receive_from()

    connection = await only_connection()
    assert failed.is_set()
    assert (connection.messages_in, connection.messages_out) == (1, 1)


async def test_a_secret_in_the_path_is_kept_nowhere(open_socket):
    route = path("invite/<str:token>/<slug:room>/", Echo.as_asgi(), name="invite")
    socket = await open_socket(recorded(route), "/invite/canary/lobby/")
    await socket.send_to(text_data="hello")
    await socket.receive_from()

    connection = await only_connection()
    assert "canary" not in repr(vars(connection))
    assert connection.path == "/invite/•••/lobby/"
    assert connection.route_args == {"token": "•••", "room": "lobby"}
    assert not await Event.objects.filter(path__contains="canary").aexists()


@pytest.mark.parametrize("user", ["ana", {"name": "ana"}, object()])
async def test_a_user_that_is_none_of_djangos_is_recorded_as_nobody(open_socket, user):
    def signed_in(app):
        async def with_user(scope, receive, send):
            await app(dict(scope, user=user), receive, send)

        return with_user

    app = signed_in(MonitorMiddleware(MonitorRouter([path("e/", Echo.as_asgi())])))
    await open_socket(app, "/e/")

    connection = await only_connection()
    assert (connection.user_id, connection.username) == (None, "")


@pytest.mark.parametrize("code", [-1, 70_000, "no code"])
async def test_a_close_code_that_is_none_does_not_hide_the_end(open_socket, code):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": code})

    await open_socket(recorded(path("odd/", app)), "/odd/")

    connection = await only_connection()
    assert (connection.cause, connection.close_code) == (Cause.APPLICATION, None)


async def test_an_end_that_could_not_be_written_is_mended(
    open_socket, monkeypatch, settings
):
    settings.MONITOR_HEARTBEAT_INTERVAL = 0.05
    monkeypatch.setattr("monitor.processes.drift.MEND_INTERVAL", 0.1)
    process = local_process()
    socket = await open_socket()
    await stored()

    def full_disk(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(process.journal, "append", full_disk)
    await socket.disconnect()
    monkeypatch.undo()
    monkeypatch.setattr("monitor.processes.drift.MEND_INTERVAL", 0.1)

    async def mended():
        return await Connection.objects.filter(closed_at__isnull=False).aexists()

    await until(mended)
    assert (await only_connection()).detail.startswith("mended")
    assert process.drift == 1
    process.dropped = 0


async def test_a_forked_child_leaves_its_parents_records_alone(open_socket):
    socket = await open_socket()
    process = local_process()
    child = os.fork()
    if child == 0:
        atexit._run_exitfuncs()
        os._exit(0 if local_process() is not process else 1)
    assert (await asyncio.to_thread(os.waitpid, child, 0))[1] == 0

    await socket.send_to(text_data="still recorded")
    await socket.receive_from()

    assert await kinds() == ["connect", "accept", "receive"]
    assert process.lock.path.exists()


async def test_the_end_of_a_session_is_known_even_of_the_shortest_connection(
    open_socket, user_of, headers_of, monkeypatch
):
    process = local_process()
    with monkeypatch.context() as patch:
        patch.setattr(process.writer, "work", lambda: False)
        socket = await open_socket(headers=await headers_of(await user_of("ana")))
        await socket.disconnect()

    process.wake()

    expires_at = (await only_connection()).session_expires_at
    assert expires_at == (await Session.objects.aget()).expire_date
    assert not process.registry._sessions


async def test_a_port_that_the_proxy_did_not_tell_is_not_known(open_socket):
    await open_socket(client=["192.0.2.7", 0])

    connection = await only_connection()
    assert connection.client_port is None
    assert connection.client == "192.0.2.7"
    assert connection.scope["client"] == ["192.0.2.7", None]
