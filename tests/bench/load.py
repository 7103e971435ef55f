"""The load: websocket clients that cost as little as Python allows.

No library: RFC 6455's handshake by hand, one frame that is made once, and answers
that are compared as bytes.
"""

import base64
import contextlib
import os
import select
import socket
import statistics
import time
from dataclasses import dataclass

TEXT_SIZE = 70  # bytes of a message
ANSWER_WITHIN = 15  # seconds
READ_SIZE = 2**16  # bytes
MASK = b"\x37\xfa\x21\x3d"
TEXT, CLOSE = 0x81, 0x88  # first bytes of frames that are whole messages

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\n"
    "Host: 127.0.0.1:{port}\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    "\r\n"
    "Origin: http://127.0.0.1:{port}\r\n"
    "Connection: Upgrade\r\n"
    "Upgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: {key}\r\n"
    "{more}"
    "\r\n"
)


def frame(payload, first=TEXT):
    """A frame of a client with a payload of less than 126 bytes."""
    assert len(payload) < 126
    masked = bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload))
    return bytes([first, 0x80 | len(payload)]) + MASK + masked


def answer(payload):
    """The frame in which a server sends the same payload."""
    return bytes([TEXT, len(payload)]) + payload


class Client:
    """One websocket; it blocks until it is given to a `Load`."""

    path = "/echo/"
    more_headers = ""

    def __init__(self, port, number):
        self.socket = socket.create_connection(("127.0.0.1", port), ANSWER_WITHIN)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fd = self.socket.fileno()
        self._unread = b""
        self._shake_hands(port)
        self.greet()
        text = self.text(number)
        assert len(text) == TEXT_SIZE
        self.frame, self.answer = frame(text), answer(text)
        self.exchange()

    def text(self, number):
        """A message of client `number`, written as Python's json would."""
        return b'{"message": "%s"}' % f"client {number} ".ljust(55, "x").encode()

    def greet(self):
        """Do what the protocol inside of the websocket asks for at first."""

    def exchange(self):
        """Send the message, and check what comes back."""
        self.socket.sendall(self.frame)
        got = self._read(len(self.answer))
        assert got == self.answer, f"{got} is no echo"

    def start_to_close(self):
        """Close as a browser does."""
        self.socket.settimeout(ANSWER_WITHIN)
        self.socket.sendall(frame(b"\x03\xe8", CLOSE))

    def close(self):
        """Wait until the server has closed, too."""
        with contextlib.suppress(ConnectionResetError):
            while self.socket.recv(READ_SIZE):
                pass
        self.socket.close()

    def send(self, text):
        """Send a text of the protocol inside."""
        self.socket.sendall(frame(text))

    def read(self):
        """Return the text of the server's next frame."""
        _, size = self._read(2)
        if size >= 126:
            size = int.from_bytes(self._read(2 if size == 126 else 8))
        return self._read(size)

    def _read(self, size):
        while len(self._unread) < size:
            data = self.socket.recv(READ_SIZE)
            assert data, "the server has closed the connection"
            self._unread += data
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def _shake_hands(self, port):
        key = base64.b64encode(os.urandom(16)).decode()
        request = HANDSHAKE.format(
            path=self.path, port=port, key=key, more=self.more_headers
        )
        self.socket.sendall(request.encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._read(1)
        assert head.startswith(b"HTTP/1.1 101 "), head.decode()


class SocketIO(Client):
    """A client of Socket.IO: Engine.IO 4 over a websocket, spoken by hand."""

    path = "/socket.io/?EIO=4&transport=websocket"
    namespace = b""

    def greet(self):
        assert self.read().startswith(b"0{")
        self.send(b"40" + self.namespace)
        while not self.read().startswith(b"40" + self.namespace):
            pass  # the admin is sent events before it is told that it is connected

    def text(self, number):
        return b'42["echo","%s"]' % f"client {number} ".ljust(57, "x").encode()


class SocketIOAdmin(SocketIO):
    """The admin's page: it is sent what happens, and reads it."""

    namespace = b"/admin,"

    def exchange(self):
        """Say nothing."""


@dataclass
class Outcome:
    """What a load was answered."""

    seconds: float
    latencies: list[int]  # nanoseconds

    @property
    def messages(self):
        return len(self.latencies)

    @property
    def rate(self):
        """Messages a second."""
        return self.messages / self.seconds

    def percentile(self, percent):
        """Milliseconds that `percent` % of the messages took at most."""
        return statistics.quantiles(self.latencies, n=100)[percent - 1] / 1e6


class Load:
    """Clients that send, wait for the answer and send again; listeners only read."""

    def __init__(self, clients, listeners=()):
        self.clients = {client.fd: client for client in clients}
        self.listeners = {client.fd: client for client in listeners}
        self.heard = 0  # bytes that listeners were sent
        self._epoll = select.epoll()
        for client in (*clients, *listeners):
            client.socket.setblocking(False)
            self._epoll.register(client.fd, select.EPOLLIN)

    def run(self, seconds):
        """Exchange messages for so long, until the last one is answered."""
        now, read, write = time.perf_counter_ns, os.read, os.write
        frames = {fd: client.frame for fd, client in self.clients.items()}
        answers = {fd: client.answer for fd, client in self.clients.items()}
        sent_at, latencies = {}, []
        started_at = now()
        ends_at = started_at + int(seconds * 1e9)
        for fd, data in frames.items():
            sent_at[fd] = now()
            write(fd, data)
        waiting = len(frames)
        while waiting:
            ready = self._epoll.poll(ANSWER_WITHIN)
            assert ready, "the server answers no more"
            for fd, _ in ready:
                data = read(fd, READ_SIZE)
                if data != answers.get(fd):
                    self._check(fd, data)
                    continue
                at = now()
                latencies.append(at - sent_at[fd])
                if at < ends_at:
                    sent_at[fd] = at
                    write(fd, frames[fd])
                else:
                    waiting -= 1
        return Outcome((now() - started_at) / 1e9, latencies)

    def close(self):
        """Close all clients."""
        self._epoll.close()
        everyone = [*self.clients.values(), *self.listeners.values()]
        for client in everyone:
            client.start_to_close()
        for client in everyone:
            client.close()

    def _check(self, fd, data):
        """Take what is for a listener; 72 bytes never come in two pieces."""
        assert data, "the server has closed a connection"
        assert fd in self.listeners, f"{data} is no echo"
        self.heard += len(data)
