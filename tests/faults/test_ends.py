"""However a connection ends, it has one end, and the truest cause."""

import contextlib
import re
import signal
import socket
import time

import pytest

from ..rfc6455 import CLOSE, Client, frame, handshake
from .conftest import KINDS, LONG
from .server import eventually

MISTAKE = r"Mistake.*faults[./]consumers"  # the type and the place
STILL_OPEN = "select 1 from monitor_connection where path = ? and closed_at is null"


def close_with_a_reason(client):
    client.close(1001, b"bye")


def close_with_a_code_of_its_own(client):
    client.close(4321)


def close_without_a_code(client):
    client.write(frame(b"", CLOSE))


def send(client):
    client.send("hola")


def close_while_the_application_is_busy(client):
    client.send("hola")
    client.close(1001)


def wait(client):
    pass


@pytest.mark.parametrize(
    ("consumer", "act", "cause", "code", "detail"),
    [
        ("echo", close_with_a_reason, "client", 1001, "bye"),
        ("echo", close_with_a_code_of_its_own, "client", 4321, ""),
        ("echo", close_without_a_code, "client", 1005, ""),
        ("echo", Client.reset, "lost", 1006, ""),
        ("echo", Client.half_close, "lost", 1006, ""),
        ("echo", Client.drop, "lost", 1006, ""),
        ("slow", close_while_the_application_is_busy, "client", 1001, ""),
        ("closes", send, "application", 4000, "enough"),
        ("returns-after-accept", send, "application", 1000, "application returned"),
        ("returns-before-accept", wait, "reject", 403, "application returned"),
        ("raises-in-connect", wait, "error", None, MISTAKE),
        ("raises-in-receive", send, "error", None, MISTAKE),
        ("raises-in-handler", send, "error", None, MISTAKE),
    ],
)
def test_a_connection_ends_once_with_its_cause(
    server, connect, path, consumer, act, cause, code, detail
):
    act(connect(f"/{consumer}/{path}"))

    connection = server.closed(f"/{consumer}/{path}")

    assert (connection.cause, connection.code) == (cause, code)
    assert re.search(detail, connection.detail)
    assert (connection.begins, connection.ends) == (1, 1)


def test_a_client_lost_while_the_application_is_busy_is_lost(server, connect, path):
    client = connect(f"/slow/{path}")
    client.send("hola")
    client.reset()

    connection = server.closed(f"/slow/{path}")

    # Uvicorn says so when the application sends, and has no code then.
    assert (connection.cause, connection.begins, connection.ends) == ("lost", 1, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_connections_as_stopped_with_the_server(
    server, connect, path, number
):
    clients = [connect(f"/echo/{path}") for _ in range(3)]
    busy = connect(f"/slow/{path}")
    busy.send("hola")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as unheard:
        unheard.sendall(handshake(server.port, f"/slow/{path}-unheard"))
        eventually(lambda: server.connections(f"/slow/{path}-unheard"))

        server.process.send_signal(number)
        closes = [client.end() for client in (*clients, busy)]

        assert server.process.wait(12) == 0
    assert {close.code for close in closes} == {4012}
    [unheard] = server.connections(f"/slow/{path}-unheard")
    connections = server.connections(f"/%/{path}")
    assert len(connections) == 4
    for connection in (*connections, unheard):
        assert (connection.cause, connection.closed) == ("server", True)
        assert (connection.begins, connection.ends) == (1, 1)
    assert {connection.code for connection in connections} == {4012}


# In the short form only where a limit of the server's own had to be raised.
@pytest.mark.parametrize("kind", KINDS if LONG else ["daphne"], indirect=True)
def test_whoever_waits_long_to_be_accepted_is_not_turned_away(server, connect, path):
    client = connect(f"/crowded/{path}")

    assert client.status == 101
    client.send("hola")
    assert client.receive().text == "hola"


def test_whoever_leaves_before_their_turn_keeps_nobody_out(server, connect, path):
    crowd = [connect(f"/echo/{path}", wait=False) for _ in range(100)]
    leaving, staying = crowd[::2], crowd[1::2]
    for client in leaving:
        client.reset()

    for client in staying:
        assert client.read_status() == 101
        client.send("hola")
        assert client.receive().text == "hola"
        client.close()

    # Some of those who left may have been in already.
    eventually(lambda: not server.rows(STILL_OPEN, f"/echo/{path}"))
    recorded = server.connections(f"/echo/{path}")
    assert [row.cause for row in recorded].count("client") == len(staying)
    assert {(row.begins, row.ends) for row in recorded} == {(1, 1)}


@pytest.mark.parametrize("handler", ["hangs", "hangs-on"])
def test_a_handler_that_hangs_holds_up_neither_the_others_nor_the_end(
    own_server, path, handler
):
    server = own_server.start()  # of its own: uvicorn logs a traceback of the handler
    with contextlib.ExitStack() as stack:

        def connect(path):
            return stack.enter_context(Client(server.port, path, timeout=15))

        others = [connect(f"/echo/{path}") for _ in range(3)]
        hung = connect(f"/{handler}/{path}")
        hung.send("hola")
        assert hung.receive().text == "hola"

        began_at = time.monotonic()
        server.process.send_signal(signal.SIGTERM)

        assert {other.end().code for other in others} == {4012}
        code = server.process.wait(15)
        took = time.monotonic() - began_at
        print(f"stopped after {took:.1f} s, exit code {code}")
        assert took < 10.5
    [row] = server.connections(f"/{handler}/{path}")
    assert (row.cause, row.begins, row.ends) == ("server", 1, 1)
    assert row.closed


def test_kill_9_ends_connections_as_lost_with_the_process(server, connect, path):
    clients = [connect(f"/echo/{path}") for _ in range(3)]
    for client in clients:
        client.send("hola")
        client.receive()
    left = connect(f"/echo/{path}-left")
    left.close(1001)
    server.closed(f"/echo/{path}-left")

    server.kill()
    server.start()

    connections = server.connections(f"/echo/{path}")
    assert len(connections) == 3
    for connection in connections:
        assert (connection.cause, connection.closed) == ("process", True)
        assert (connection.begins, connection.ends) == (1, 0)
    assert server.closed(f"/echo/{path}-left").cause == "client"


def test_by_then_every_connection_has_begun_and_ended_once(server):
    eventually(lambda: all(one.closed for one in server.connections()))

    connections = server.connections()
    assert {one.begins for one in connections} == {1}
    assert [one for one in connections if one.ends != (one.cause != "process")] == []
