"""A websocket client that sends whatever bytes a test wants (RFC 6455).

Client libraries neither send malformed frames nor show how exactly a connection
ended, so this one does both, on a plain blocking socket.
"""

import base64
import http.client
import os
import socket
import struct
from typing import NamedTuple

# Opcodes, section 5.2
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class Frame(NamedTuple):
    """A frame that came from the server."""

    opcode: int
    payload: bytes

    @property
    def text(self):
        return self.payload.decode()

    @property
    def code(self):
        """The code of a close frame, None if it has none (section 5.5.1)."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else None

    @property
    def reason(self):
        """The reason of a close frame."""
        return self.payload[2:].decode()


def frame(payload=b"", opcode=TEXT, *, fin=True, rsv=0, masked=True, length=None):
    """Return the bytes of a frame, section 5.2; `length` may lie about the payload."""
    payload = payload.encode() if isinstance(payload, str) else payload
    length = len(payload) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    mask_bit = masked << 7
    if length < 126:
        head += bytes([mask_bit | length])
    elif length < 2**16:
        head += struct.pack("!BH", mask_bit | 126, length)
    else:
        head += struct.pack("!BQ", mask_bit | 127, length)
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + _mask(payload, key)


def close_frame(code=1000, reason=b""):
    """Return the bytes of a close frame, section 5.5.1."""
    return frame(struct.pack("!H", code) + reason, CLOSE)


def handshake(port, path="/", **headers):
    """Return the bytes of an opening handshake, section 4.1.

    Headers are named as in Python, `sec_websocket_version="8"`; None leaves one out.
    """
    headers = {
        "host": f"127.0.0.1:{port}",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec_websocket_version": "13",
        "sec_websocket_key": base64.b64encode(os.urandom(16)).decode(),
        **headers,
    }
    lines = [f"GET {path} HTTP/1.1"]
    for name, value in headers.items():
        if value is not None:
            lines.append(f"{name.replace('_', '-')}: {value}")
    return "\r\n".join([*lines, "\r\n"]).encode()


class Client:
    """One connection to a server, on this machine if nothing else is said.

    Everything that waits raises TimeoutError after `timeout` seconds.
    """

    def __init__(
        self,
        port,
        path="/",
        *,
        at="127.0.0.1",
        timeout=10,
        buffer=None,
        wait=True,
        **headers,
    ):
        """Connect and shake hands. Whether the server agreed stands in `status`; call
        `read_status()` if this is not to `wait` for it.

        `buffer` is how many bytes the kernel may take in that nobody has read.
        """
        self.socket = socket.socket()
        if buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(timeout)
        self.stream = self.socket.makefile("rb")
        try:
            self.socket.connect((at, port))
            self.write(handshake(port, path, **headers))
            self.status = self.read_status() if wait else None
        except OSError:
            self.drop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.drop()

    # Out -----------------------------------------------------------------------------

    def write(self, data):
        """Send bytes as they are."""
        self.socket.sendall(data)

    def send(self, text):
        """Send a text message."""
        self.write(frame(text))

    def close(self, code=1000, reason=b""):
        """Close as section 7.1.2 asks; return the close frame that came back."""
        self.write(close_frame(code, reason))
        return self.end()

    def half_close(self):
        """Say that nothing more will come (a TCP FIN), and go on listening."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Vanish with a TCP RST."""
        linger = struct.pack("ii", True, 0)  # seconds
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.drop()

    def drop(self):
        """Close the TCP connection without a word."""
        self.stream.close()
        self.socket.close()

    # In ------------------------------------------------------------------------------

    def read_status(self):
        """The status of the answer to the handshake; None if there was no answer."""
        try:
            line = self.stream.readline()
            http.client.parse_headers(self.stream)
        except (ConnectionError, http.client.HTTPException):
            return None
        return int(line.split()[1]) if line else None

    def receive(self):
        """Return the next frame; None at the end. Pings are answered on the way."""
        try:
            while (received := self._read_frame()) and received.opcode == PING:
                self.write(frame(received.payload, PONG))
        except ConnectionError:
            return None
        return received

    def end(self):
        """Read until the server is gone; return its close frame, or None."""
        last = None
        while received := self.receive():
            last = received if received.opcode == CLOSE else last
        self.drop()
        return last

    def _read_frame(self):
        head = self.stream.read(2)
        if len(head) < 2:
            return None
        length = head[1]
        if length >= 126:
            length = int.from_bytes(self.stream.read(2 if length == 126 else 8), "big")
        payload = self.stream.read(length)
        return Frame(head[0] & 0x0F, payload) if len(payload) == length else None


def _mask(payload, key):
    """Mask a payload, section 5.3."""
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return masked.to_bytes(len(payload), "big")
