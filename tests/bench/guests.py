"""Thousands of members in one thread: they join, answer pings, and say a little."""

import base64
import contextlib
import errno
import json
import os
import re
import select
import socket
import struct
import time
from collections import deque

from .load import HANDSHAKE, READ_SIZE, frame
from .members import ChatMember

JOIN_WITHIN = 300.0  # seconds for all of them
HEAD_END = b"\r\n\r\n"
PING, PONG, CLOSE = 0x89, 0x8A, 0x88  # first bytes of frames
HISTORY, RESUMED = b'{"type":"history"', b'{"type":"resumed"'
MESSAGE, NUMBER = b'{"type":"message"', re.compile(rb'"seq":(\d+)')
SAYING = frame(b'{"message": "hola a todos"}')
LISTING = frame(b'{"type": "rooms"}')
READING_PAUSE = 1.5  # seconds between two words about it


class Guest:
    """A member that a `Crowd` serves, and that does what the chat's page does.

    It looks at the list of rooms, says how far it has read, as if somebody looked at
    it all the time, and if it was there before asks for what it has missed.
    """

    __slots__ = (
        *("port", "room", "cookie", "rev", "socket", "unread", "awaited"),
        *("seq", "told", "tells_at"),
    )

    def __init__(self, port, room, cookie):
        self.port = port
        self.room = room
        self.cookie = cookie
        self.rev = None  # of its history, once it has had one
        self.seq = self.told = 0  # of the last message, and up to where it has read
        self.tells_at = 0.0
        self.socket = None
        self.unread = b""
        self.awaited = None  # the start of the frame that it waits for

    def come(self):
        """Begin to connect, without waiting."""
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = self.socket.connect_ex(("127.0.0.1", self.port))
        assert code in (0, errno.EINPROGRESS), os.strerror(code)
        self.unread, self.awaited = b"", HEAD_END

    def shake_hands(self):
        """Ask for the room, once the connection is there."""
        request = HANDSHAKE.format(
            path=ChatMember.address.format(room=self.room),
            port=self.port,
            key=base64.b64encode(os.urandom(16)).decode(),
            more=f"Cookie: {self.cookie}\r\n",
        )
        self.socket.send(request.encode())

    def read(self):
        """Take in what has come; True if that was what it waited for.

        OSError if the server has closed.
        """
        data = self.socket.recv(READ_SIZE)
        if not data:
            raise ConnectionResetError
        self.unread += data
        waited = self.awaited is not None
        if self.awaited is HEAD_END:
            head, end, rest = self.unread.partition(HEAD_END)
            if not end:
                return False
            assert head.startswith(b"HTTP/1.1 101 "), head.decode()
            self.unread, self.awaited = rest, HISTORY
        for first, payload in self._frames():
            self._hear(first, payload)
        return waited and self.awaited is None

    def _frames(self):
        while len(self.unread) >= 2:
            size, start = self.unread[1], 2
            if size >= 126:
                start = 4 if size == 126 else 10
                size = int.from_bytes(self.unread[2:start])
            if len(self.unread) < start + size:
                return
            yield self.unread[0], self.unread[start : start + size]
            self.unread = self.unread[start + size :]

    def _hear(self, first, payload):
        assert first != CLOSE, payload
        if first == PING:
            self.socket.send(frame(payload, PONG))
        elif self.awaited is not None and payload.startswith(self.awaited):
            self._go_on(json.loads(payload))
        elif payload.startswith(MESSAGE):
            self.seq = int(NUMBER.search(payload)[1])
            self._tell()

    def _go_on(self, content):
        self.awaited = None
        if content["type"] == "history" and self.rev is not None:
            self.awaited = RESUMED
            self.socket.send(frame(b'{"type": "resume", "after": %d}' % self.rev))
        self.rev = content["rev"]
        self.seq = max([self.seq, *(message["seq"] for message in content["messages"])])
        if self.awaited is None:
            self.socket.send(LISTING)
            self._tell()

    def _tell(self):
        """Say how far it has read, unless it just did."""
        now = time.monotonic()
        if self.seq > self.told and now >= self.tells_at:
            self.socket.send(frame(b'{"type": "read", "seq": %d}' % self.seq))
            self.told, self.tells_at = self.seq, now + READING_PAUSE


class Crowd:
    """Guests, all served by the thread that calls."""

    def __init__(self):
        self.epoll = select.epoll()
        self.guests = {}  # by file descriptor
        self.coming = deque()
        self.under_way = 0
        self.lost = 0  # closed by a server

    def bring(self, guests, at_once):
        """Have guests join, so many at the same time, and return when all have."""
        deadline = time.monotonic() + JOIN_WITHIN
        self.coming.extend(guests)
        while self.coming or self.under_way:
            assert time.monotonic() < deadline, f"{self.under_way} still wait"
            while self.coming and self.under_way < at_once:
                self._begin(self.coming.popleft())
            self._serve(0.2)

    def rest(self, seconds):
        """Answer pings, and else do nothing."""
        ends_at = time.monotonic() + seconds
        while (left := ends_at - time.monotonic()) > 0:
            self._serve(left)

    def talk(self, rate, seconds):
        """Have one after the other say something; return how many did."""
        count = round(rate * seconds)
        began_at = time.monotonic()
        speakers = list(self.guests.values())
        for number in range(count):
            speakers[number % len(speakers)].socket.send(SAYING)
            self.rest(began_at + (number + 1) / rate - time.monotonic())
        return count

    def drop(self, count):
        """Have some vanish with a TCP RST; return them."""
        gone = [self.guests.pop(fd) for fd in list(self.guests)[:count]]
        for guest in gone:
            self.epoll.unregister(guest.socket)
            linger = struct.pack("ii", True, 0)
            guest.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            guest.socket.close()
        return gone

    def leave(self):
        """Have everybody vanish."""
        self.drop(len(self.guests))
        self.epoll.close()

    def _begin(self, guest):
        guest.come()
        self.guests[guest.socket.fileno()] = guest
        self.epoll.register(guest.socket, select.EPOLLOUT)
        self.under_way += 1

    def _serve(self, timeout):
        for fd, events in self.epoll.poll(timeout):
            guest = self.guests[fd]
            try:
                if events & select.EPOLLOUT:
                    guest.shake_hands()
                    self.epoll.modify(fd, select.EPOLLIN)
                elif guest.read():
                    self.under_way -= 1
            except ConnectionError:
                self._lose(fd)

    def _lose(self, fd):
        guest = self.guests.pop(fd)
        self.lost += 1
        self.under_way -= guest.awaited is not None
        with contextlib.suppress(OSError):
            self.epoll.unregister(fd)
        guest.socket.close()
