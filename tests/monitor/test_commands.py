import json

import pytest
from asgiref.sync import sync_to_async
from django.urls import path

from monitor.models import Action, Connection
from monitor.processes.commands import announce
from monitor.processes.local import local_process

from ..clock import until
from .conftest import ECHO, Echo, only_connection, recorded, stored


class Polite(Echo):
    """A consumer whose clients know a farewell."""

    @staticmethod
    def monitor_farewell(code, reason):
        return json.dumps({"farewell": reason, "code": code})


@pytest.fixture
def ask():
    """Ask for a connection to be closed, as olga; wait for the result."""

    async def ask(connection):
        action = await Action.objects.acreate(
            kind=Action.Kind.DISCONNECT,
            connection=connection,
            asked_by_name="olga",
            reason="too loud",
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


async def test_a_server_that_refuses_to_close_is_quoted_and_may_be_asked_again(
    open_socket, ask
):
    refusing = True

    def stubborn(app):
        async def server(scope, receive, send):
            async def send_or_not(message):
                if message["type"] == "websocket.close" and refusing:
                    raise RuntimeError("no")
                await send(message)

            await app(scope, receive, send_or_not)

        return server

    socket = await open_socket(stubborn(recorded(ECHO)))
    action = await ask(await only_connection())
    refusing = False
    again = await ask(await only_connection())

    assert (action.result, action.detail) == ("failed", "RuntimeError: no")
    assert again.result == Action.Result.DONE
    assert (await socket.receive_output())["code"] == 4403


async def test_a_reason_too_long_for_a_close_frame_is_cut(open_socket, ask):
    socket = await open_socket()
    connection = await only_connection()
    await Action.objects.acreate(
        kind="disconnect", connection=connection, asked_by_name="olga", reason="ñ" * 120
    )

    await sync_to_async(announce)()

    close = await socket.receive_output(timeout=5)
    assert len(close["reason"].encode()) <= 123


async def test_what_is_still_asked_when_a_process_stops_is_already_gone(open_socket):
    socket = await open_socket()
    connection = await only_connection()
    process = local_process()
    await socket.disconnect()
    action = await Action.objects.acreate(
        kind="disconnect", connection=connection, asked_by_name="olga", reason="x"
    )

    assert process.stop()

    await action.arefresh_from_db()
    assert action.result == Action.Result.GONE
