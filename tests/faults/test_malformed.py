"""Frames that no client should send: each ends its own connection, and nothing else."""

import contextlib
import itertools
import socket
import zlib

import pytest

from project.servers.limits import LARGEST_FRAME

from ..rfc6455 import (
    CLOSE,
    CONTINUATION,
    PING,
    Client,
    close_frame,
    frame,
    handshake,
)
from .conftest import LONG
from .load import Load
from .server import eventually

# Of everything in MALFORMED. A process grows by some 20 MB in the first 5,000 frames,
# and then no more.
WARM_UP, ROUNDS = (250, 250) if LONG else (1, 10)
MEMORY_GROWTH = 16 * 2**20  # bytes; a frame beyond the limit has 256 KiB

# Close codes, RFC 6455 section 7.4.1
PROTOCOL_ERROR, INVALID_PAYLOAD, TOO_BIG = 1002, 1007, 1009


def compressed(text):
    """The payload of a compressed message, RFC 7692 section 7.2.1."""
    deflate = zlib.compressobj(wbits=-15)
    data = deflate.compress(text.encode()) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return data.removesuffix(b"\x00\x00\xff\xff")


begun = frame("begun", fin=False)
more = frame("x" * 2**15, CONTINUATION, fin=False)

# What is sent, and the code with which both servers fail the connection.
MALFORMED = {
    "an unmasked frame": (frame("hola", masked=False), PROTOCOL_ERROR),
    "reserved bit 1": (frame("hola", rsv=0b100), PROTOCOL_ERROR),
    "reserved bit 3": (frame("hola", rsv=0b001), PROTOCOL_ERROR),
    "a reserved data opcode": (frame("hola", 0x3), PROTOCOL_ERROR),
    "a reserved control opcode": (frame("hola", 0xB), PROTOCOL_ERROR),
    "a fragmented ping": (frame("hola", PING, fin=False), PROTOCOL_ERROR),
    "a ping above 125 bytes": (frame("x" * 126, PING), PROTOCOL_ERROR),
    "a continuation of nothing": (frame("hola", CONTINUATION), PROTOCOL_ERROR),
    "a message inside of another": (begun + frame("hola"), PROTOCOL_ERROR),
    "a close frame of one byte": (frame("x", CLOSE), PROTOCOL_ERROR),
    "close code 999": (close_frame(999), PROTOCOL_ERROR),
    "close code 1005": (close_frame(1005), PROTOCOL_ERROR),
    "close code 5000": (close_frame(5000), PROTOCOL_ERROR),
    "a close reason that is no UTF-8": (close_frame(1000, b"\xff"), INVALID_PAYLOAD),
    "text that is no UTF-8": (frame(b"hol\xe1"), INVALID_PAYLOAD),
    "half of a character": (frame("¡".encode()[:1]), INVALID_PAYLOAD),
    "a surrogate": (frame(b"\xed\xa0\x80"), INVALID_PAYLOAD),
    "a length of 2^63 - 1": (frame("hola", length=2**63 - 1), TOO_BIG),
    "a frame above the limit": (frame("x" * (LARGEST_FRAME + 1)), TOO_BIG),
    "the head of such a frame": (frame("", length=LARGEST_FRAME + 1), TOO_BIG),
    "endless fragments": (begun + more * 9, TOO_BIG),
}


SILENCE = {
    "silent": b"",
    "half-a-head": frame("hola")[:1],
    "half-a-frame": frame("hola")[:-2],
    "half-a-message": frame("hola", fin=False),
}


@pytest.fixture(scope="module", autouse=True)
def silent(shared_server):
    """Clients that stop in the middle, while the other tests run; their paths."""
    if not shared_server.running:
        shared_server.start()
    clients = {f"/echo/{name}": data for name, data in SILENCE.items()}
    with contextlib.ExitStack() as stack:
        for path, data in clients.items():
            stack.enter_context(Client(shared_server.port, path)).write(data)
        yield list(clients)


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_frame_is_a_protocol_error(server, connect, path, name):
    data, code = MALFORMED[name]
    client = connect(f"/echo/{path}")

    client.write(data)
    close = client.end()

    connection = server.closed(f"/echo/{path}")
    assert close.code == code
    assert close.reason
    assert (connection.cause, connection.code) == ("protocol", code)
    assert connection.detail == close.reason
    assert (connection.begins, connection.ends) == (1, 1)


def test_a_length_beyond_what_the_rfc_allows_is_refused(server, connect, path):
    client = connect(f"/echo/{path}")

    client.write(frame("hola", length=2**63))
    close = client.end()

    # Daphne sees the top bit, which must be 0 (section 5.2); uvicorn sees the size.
    assert close.code in (PROTOCOL_ERROR, TOO_BIG)
    assert server.closed(f"/echo/{path}").cause == "protocol"


@pytest.mark.parametrize("payload", [compressed("0" * 10**7), b"\xff" * 10])
def test_a_compressed_bomb_or_rubbish_is_refused(server, connect, path, payload):
    extensions = {"sec_websocket_extensions": "permessage-deflate"}
    client = connect(f"/echo/{path}", **extensions)

    client.write(frame(payload, rsv=0b100))
    close = client.end()

    # Daphne does not agree on compression, so it sees a reserved bit.
    assert close.code in (PROTOCOL_ERROR, TOO_BIG)
    assert server.closed(f"/echo/{path}").cause == "protocol"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_websocket_version": "7"},
        {"sec_websocket_version": "thirteen"},
        {"sec_websocket_version": None},
        {"sec_websocket_key": None},
        {"sec_websocket_key": "short"},
    ],
)
def test_a_malformed_handshake_is_answered_and_no_connection(
    server, connect, path, headers
):
    client = connect(f"/echo/{path}", **headers)

    assert client.status in (400, 426)
    assert client.end() is None
    assert server.connections(f"/echo/{path}") == []


@pytest.mark.parametrize(
    "headers",
    [
        {"cookie": "x" * 9000},
        {f"x_{number}": "x" for number in range(200)},
    ],
    ids=["a long one", "many"],
)
def test_unusual_headers_are_answered(server, connect, path, headers):
    # Within what Twisted takes and beyond what websockets does.
    assert connect(f"/echo/{path}", **headers).status in (101, 400)


def test_a_frame_before_the_handshake_is_answered_ends_it(server, path):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as hasty:
        hasty.sendall(handshake(server.port, f"/slow/{path}"))
        eventually(lambda: server.connections(f"/slow/{path}"))
        hasty.sendall(frame("hola", masked=False))

        connection = server.closed(f"/slow/{path}")

    # Uvicorn closes the socket, and the application hears of it when it accepts.
    assert connection.cause in ("protocol", "lost")
    assert (connection.begins, connection.ends) == (1, 1)


def test_others_are_not_disturbed_and_no_memory_is_kept(server, path):
    def misbehave(times):
        for data, _ in itertools.chain(*[MALFORMED.values()] * times):
            with Client(server.port, f"/echo/{path}") as client:
                client.write(data)
                client.end()

    with Load(server.port, f"{path}-others") as others:
        misbehave(WARM_UP)
        before = server.memory
        misbehave(ROUNDS)
    count = (WARM_UP + ROUNDS) * len(MALFORMED)
    # What is not stored yet is in the journal, which is mapped into memory.
    eventually(lambda: len(server.connections(f"/echo/{path}")) == count, 60)
    eventually(lambda: all(one.closed for one in server.connections(f"/echo/{path}")))
    grown = server.memory - before

    print(f"grown by {grown >> 10} KiB; the others waited {others.slowest():.3f} s")
    assert not others.broken
    assert grown < MEMORY_GROWTH
    connections = server.connections(f"/echo/{path}")
    assert {(one.begins, one.ends) for one in connections} == {(1, 1)}


def test_whoever_answers_no_ping_is_lost(server, silent):
    for path in silent:
        connection = server.closed(path)
        assert (connection.cause, connection.code) == ("lost", 1006)
        assert "ping timeout" in connection.detail
        assert (connection.begins, connection.ends) == (1, 1)


def test_none_of_it_is_a_failure_or_worth_a_traceback(server):
    assert server.stop() == 0

    health = "select sum(failures), sum(dropped), sum(set_aside) from monitor_process"
    assert server.rows(health) == [(0, 0, 0)]
    errors = [line for line in server.log.splitlines() if "Error" in line]
    assert [line for line in errors if "Mistake" not in line] == []
