"""Members of rooms: the chat's, and those of what it is measured beside."""

import os
import select
import statistics
import time
from dataclasses import dataclass

from .load import ANSWER_WITHIN, READ_SIZE, Client, frame

TEXT = "x" * 55  # of a message; with its JSON around it 70 bytes


class Member(Client):
    """A member of a room, which has joined as soon as it is made."""

    delivery = b""  # what a frame with a message has, once, and no other frame

    def __init__(self, port, room, cookie):
        self.path = self.address.format(room=room)
        self.more_headers = f"Cookie: {cookie}\r\n"
        began_at = time.perf_counter()
        super().__init__(port, room)
        self.joined_within = time.perf_counter() - began_at  # seconds

    def exchange(self):
        """Say nothing yet."""


class ChatMember(Member):
    """A member in a room of ours."""

    address = "/ws/chat/{room}/"
    delivery = b'{"type":"message"'

    def greet(self):
        assert self.read().startswith(b'{"type":"history"')

    def text(self, number):
        return b'{"message": "%s"}' % TEXT.encode()


class TutorialMember(Member):
    """A member in a room of Channels' tutorial."""

    address = "/tutorial/{room}/"
    delivery = b'{"message":'

    def text(self, number):
        return b'{"message": "%s"}' % TEXT.encode()


class SocketIOMember(Member):
    """A member in a room of python-socketio's."""

    address = "/socket.io/?EIO=4&transport=websocket&room={room}"
    delivery = b'42["message"'

    def greet(self):
        assert self.read().startswith(b"0{")
        self.send(b"40")
        assert self.read().startswith(b"40")

    def text(self, number):
        return b'42["say","%s"]' % f"{TEXT} ".ljust(58, "x").encode()


KINDS = {
    "tutorial": TutorialMember,
    "socketio-rooms": SocketIOMember,
    "chat": ChatMember,
    "recorded-chat": ChatMember,
}


@dataclass
class Spoken:
    """What became of the messages of one run."""

    seconds: float
    messages: int
    deliveries: int
    waits: list[int]  # nanoseconds from a message until all members had it

    @property
    def rate(self):
        """Messages a second."""
        return self.messages / self.seconds

    def percentile(self, percent):
        """Milliseconds in which `percent` % of the messages were with everybody."""
        return percentile(self.waits, percent) / 1e6


def percentile(figures, percent):
    """What `percent` % of the figures are at most."""
    if len(figures) < 2:
        return figures[0]
    return statistics.quantiles(figures, n=100, method="inclusive")[percent - 1]


class Rooms:
    """Rooms in which one member speaks, and again when all members have heard it."""

    def __init__(self, rooms):
        """`rooms`: a list of lists of members."""
        self.rooms = rooms
        self.members = [member for room in rooms for member in room]
        self.delivery = self.members[0].delivery
        self._room_of = {
            member.fd: number for number, room in enumerate(rooms) for member in room
        }
        self._cut = {}  # by file descriptor: the end of what was read last
        self._epoll = select.epoll()
        for member in self.members:
            member.socket.setblocking(False)
            self._epoll.register(member.fd, select.EPOLLIN)

    def run(self, seconds, rate=0):
        """Speak for so long; in each room at most `rate` times a second, if given."""
        now = time.perf_counter_ns
        interval = int(1e9 / rate) if rate else 0
        missing = [0] * len(self.rooms)  # deliveries of the message under way
        said_at = [0] * len(self.rooms)
        waits, deliveries = [], 0
        began_at = now()
        ends_at = began_at + int(seconds * 1e9)

        def say(number):
            said_at[number] = now()
            missing[number] = len(self.rooms[number])
            self.rooms[number][0].socket.send(self.rooms[number][0].frame)

        for number in range(len(self.rooms)):
            say(number)
        waiting = len(self.rooms)
        while waiting:
            ready = self._epoll.poll(ANSWER_WITHIN)
            assert ready, "the server delivers no more"
            for fd, _ in ready:
                count = self._deliveries(fd)
                number = self._room_of[fd]
                deliveries += count
                missing[number] -= count
                if missing[number] or not count:
                    continue
                at = now()
                waits.append(at - said_at[number])
                if interval and said_at[number] + interval > at:
                    time.sleep((said_at[number] + interval - at) / 1e9)
                if now() < ends_at:
                    say(number)
                else:
                    waiting -= 1
        return Spoken((now() - began_at) / 1e9, len(waits), deliveries, waits)

    def close(self):
        """Leave all rooms."""
        self._epoll.close()
        for member in self.members:
            member.start_to_close()
        for member in self.members:
            member.close()

    def _deliveries(self, fd):
        data = os.read(fd, READ_SIZE)
        assert data, "the server has closed the connection"
        data = self._cut.get(fd, b"") + data
        keep = len(self.delivery) - 1
        self._cut[fd] = data[-keep:]
        return data.count(self.delivery)


def acknowledgements(member, count):
    """Nanoseconds until the chat acknowledges a message, one after the other."""
    waits = []
    for number in range(count):
        client_id = f"00000000-0000-4000-8000-{number:012}"
        text = b'{"message": "hola", "client_id": "%s"}' % client_id.encode()
        expected = {b'{"type":"ack"', member.delivery}
        began_at = time.perf_counter_ns()
        member.socket.sendall(frame(text))
        while expected:
            got = member.read()
            if got.startswith(b'{"type":"ack"'):
                waits.append(time.perf_counter_ns() - began_at)
            expected -= {start for start in expected if got.startswith(start)}
    return waits
