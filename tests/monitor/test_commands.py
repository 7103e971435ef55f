import asyncio
import json
import time
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.urls import path

from monitor.dashboard import asking
from monitor.models import Action, Connection
from monitor.processes.commands import RATE, announce
from monitor.processes.local import local_process

from ..clock import until
from .conftest import ECHO, Echo, only_connection, recorded, stored


class Polite(Echo):
    """A consumer whose clients know a farewell and a notice."""

    @staticmethod
    def monitor_notice(text):
        return json.dumps({"notice": text})

    @staticmethod
    def monitor_farewell(code, reason, scope):
        return json.dumps({"farewell": reason, "code": code})


@pytest.fixture
def ask():
    """Ask for a connection to be closed, as olga; wait for the result."""

    async def ask(connection, kind=Action.Kind.DISCONNECT, reason="too loud"):
        action = await Action.objects.acreate(
            kind=kind,
            connection=connection,
            process_id=connection.process_id,
            asked_by_name="olga",
            reason=reason,
        )
        await sync_to_async(announce)()

        async def answered():
            await action.arefresh_from_db()
            return action.result != Action.Result.PENDING

        await until(answered)
        return action

    return ask


async def test_a_route_that_asked_for_it_gets_a_farewell_before_the_close(
    open_socket, ask
):
    socket = await open_socket(recorded(path("p/", Polite.as_asgi())), "/p/")

    action = await ask(await only_connection())

    farewell = json.loads((await socket.receive_output())["text"])
    close = await socket.receive_output()
    assert farewell == {"farewell": "too loud", "code": 4403}
    assert close == {"type": "websocket.close", "code": 4403, "reason": "too loud"}
    assert action.result == Action.Result.DONE
    assert action.finished_at is not None


async def test_other_protocols_get_code_and_reason_only(open_socket, ask):
    socket = await open_socket()

    await ask(await only_connection())

    close = await socket.receive_output()
    assert (close["type"], close["code"]) == ("websocket.close", 4403)


async def test_the_end_is_recorded_once_and_says_why(open_socket, ask):
    socket = await open_socket()
    await ask(await only_connection())

    await socket.receive_output()
    await socket.disconnect(code=4403)
    await stored()

    connection = await Connection.objects.aget()
    assert connection.cause == Connection.Cause.STAFF
    assert connection.detail == "too loud"
    assert await connection.events.filter(kind="disconnect").acount() == 1


async def test_a_connection_that_has_ended_is_already_gone(open_socket, ask):
    await open_socket()  # so that this process listens
    socket = await open_socket(path="/echo/other/")
    await socket.disconnect()
    await stored()

    action = await ask(await Connection.objects.aget(path="/echo/other/"))

    assert action.result == Action.Result.GONE


def behind(server_send, app):
    """An application behind a server that asks `server_send(message)` first."""

    async def server(scope, receive, send):
        async def send_or_not(message):
            server_send(message)
            await send(message)

        await app(scope, receive, send_or_not)

    return server


@pytest.mark.parametrize("kind", [Action.Kind.DISCONNECT, Action.Kind.NOTICE])
async def test_a_client_that_leaves_at_this_moment_is_already_gone(
    open_socket, ask, kind
):
    said = []

    def gone(message):
        if message["type"] != "websocket.accept":
            said.append(message["type"])
            raise OSError  # as the ASGI specification says

    routes = recorded(path("p/", Polite.as_asgi()))
    socket = await open_socket(behind(gone, routes), "/p/")

    action = await ask(await only_connection(), kind)

    assert said
    assert (action.result, action.detail) == (Action.Result.GONE, "")
    await socket.disconnect(code=1001)
    await stored()
    connection = await Connection.objects.aget()
    assert (connection.cause, connection.close_code) == (Connection.Cause.CLIENT, 1001)


async def test_a_server_that_refuses_to_close_is_quoted_and_may_be_asked_again(
    open_socket, ask
):
    refusing = True

    def stubborn(message):
        if message["type"] == "websocket.close" and refusing:
            raise RuntimeError("no")

    socket = await open_socket(behind(stubborn, recorded(ECHO)))
    action = await ask(await only_connection())
    refusing = False
    again = await ask(await only_connection())

    assert (action.result, action.detail) == ("failed", "RuntimeError: no")
    assert again.result == Action.Result.DONE
    assert (await socket.receive_output())["code"] == 4403


async def test_a_reason_too_long_for_a_close_frame_is_cut(open_socket, ask):
    socket = await open_socket()
    connection = await only_connection()
    await ask(connection, reason="ñ" * 120)

    close = await socket.receive_output(timeout=5)
    assert len(close["reason"].encode()) <= 123


async def test_what_is_still_asked_when_a_process_stops_is_already_gone(open_socket):
    socket = await open_socket()
    connection = await only_connection()
    process = local_process()
    await socket.disconnect()
    action = await Action.objects.acreate(
        kind="disconnect",
        connection=connection,
        process_id=process.id,
        asked_by_name="olga",
        reason="x",
    )

    assert await sync_to_async(process.stop)()

    await action.arefresh_from_db()
    assert action.result == Action.Result.GONE


async def test_a_logout_ends_the_session_and_the_connection(
    open_socket, ask, user_of, headers_of
):
    ana = await user_of("ana")
    socket = await open_socket(headers=await headers_of(ana))
    assert await Session.objects.acount() == 1

    action = await ask(await only_connection(), Action.Kind.LOG_OUT)

    assert action.result == Action.Result.DONE
    assert (await socket.receive_output())["code"] == 4401
    assert not await Session.objects.aexists()


async def test_a_logout_is_done_also_if_the_connection_ends_by_itself_then(
    open_socket, ask, user_of, headers_of
):
    """An application that looks for its session may be quicker to close."""

    def gone(message):
        if message["type"] == "websocket.close":
            raise OSError

    headers = await headers_of(await user_of("ana"))
    await open_socket(behind(gone, recorded(ECHO)), headers=headers)

    action = await ask(await only_connection(), Action.Kind.LOG_OUT)

    assert action.result == Action.Result.DONE
    assert action.detail == "the connection ended by itself"
    assert not await Session.objects.aexists()


async def test_a_logout_is_done_although_the_database_fails_at_the_next_one(
    open_socket, ask, user_of, headers_of, monkeypatch
):
    sockets, failures = [], [OperationalError("away")]
    for name in ("ana", "bruno"):
        headers = await headers_of(await user_of(name))
        sockets.append(await open_socket(headers=headers))
    await stored()

    def log_out(recorder):
        if recorder.scope["user"].get_username() == "ana":
            return ""
        if failures:
            raise failures.pop()
        return ""

    monkeypatch.setattr("monitor.processes.commands._log_out", log_out)
    asking = [
        ask(connection, Action.Kind.LOG_OUT)
        async for connection in Connection.objects.order_by("opened_at")
    ]
    actions = asyncio.gather(*asking)
    await until(lambda: not failures)
    await sockets[0].disconnect()  # as soon as its session has gone

    assert [action.result for action in await actions] == [Action.Result.DONE] * 2


async def test_a_connection_without_a_session_cannot_be_logged_out(open_socket, ask):
    socket = await open_socket()

    action = await ask(await only_connection(), Action.Kind.LOG_OUT)

    assert (action.result, action.detail) == ("failed", "it has no session")
    assert await socket.receive_nothing()


async def test_a_notice_reaches_the_client_in_the_frame_of_its_route(open_socket, ask):
    socket = await open_socket(recorded(path("p/", Polite.as_asgi())), "/p/")

    action = await ask(await only_connection(), Action.Kind.NOTICE, "We stop at ten.")

    assert action.result == Action.Result.DONE
    frame = await socket.receive_output()
    assert json.loads(frame["text"]) == {"notice": "We stop at ten."}


async def test_a_route_that_knows_no_notices_says_so(open_socket, ask):
    await open_socket()

    action = await ask(await only_connection(), Action.Kind.NOTICE)

    assert (action.result, action.detail) == (
        "failed",
        "its consumer has no monitor_notice",
    )


async def test_what_nobody_answers_is_said_and_done_late_nevertheless(
    open_socket, monkeypatch
):
    monkeypatch.setattr(Action, "ANSWER_WITHIN", timedelta(seconds=0.1))
    socket = await open_socket()
    connection = await only_connection()
    process = local_process()
    # Another process has a look, while the one that holds the connection is stopped.
    work, process.writer.work = process.writer.work, lambda: False
    await until(lambda: process.writer.resting)
    action = await Action.objects.acreate(
        kind=Action.Kind.DISCONNECT,
        connection=connection,
        process_id=process.id,
        reason="too loud",
    )
    await until(lambda: sync_to_async(process.commands.give_up_waiting)())
    await action.arefresh_from_db()
    assert action.result == Action.Result.NO_ANSWER

    process.writer.work = work
    process.wake()

    assert (await socket.receive_output(timeout=5))["code"] == 4403

    async def done():
        await action.arefresh_from_db()
        return action.result == Action.Result.DONE

    await until(done)


async def test_many_are_closed_at_twenty_a_second_and_none_is_given_up(
    open_socket, monkeypatch
):
    monkeypatch.setattr(Action, "ANSWER_WITHIN", timedelta(seconds=0.5))
    sockets = [await open_socket(path=f"/echo/n{number}/") for number in range(30)]
    await stored()
    rows = [row async for row in Connection.objects.all()]
    assert len(rows) == 30

    began_at = time.monotonic()
    order = await sync_to_async(asking.disconnect)(rows, "enough", await staff())
    for socket in sockets:
        assert (await socket.receive_output(timeout=5))["code"] == 4403
    took = time.monotonic() - began_at

    async def answered():
        results = Action.objects.filter(order=order).values_list("result", flat=True)
        return {result async for result in results} == {"done"}

    await until(answered)
    assert took >= 29 / RATE


async def staff():
    return await get_user_model().objects.acreate(username="olga")
