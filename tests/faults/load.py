"""Clients that go on talking while something goes wrong."""

import itertools
import statistics
import threading
import time

from ..rfc6455 import CLOSE, Client


class Load:
    """Threads with a client each, which send numbered messages and await each echo.

    `rate` is messages a second, of all clients together; 0 is as fast as it goes.
    As a context it talks until it is left; `sent`, `heard` and `waits` grow meanwhile.
    """

    def __init__(self, port, name, clients=8, rate=200):
        self.port = port
        self.path = f"/echo/{name}"
        self.interval = clients / rate if rate else 0  # seconds
        self.sent = []  # texts
        self.heard = []  # texts whose echo came
        self.waits = []  # seconds from a message to its echo
        self.broken = []  # the clients that were closed from the other side
        self._leaving = threading.Event()
        self._threads = [
            threading.Thread(target=self._talk, args=(number,), daemon=True)
            for number in range(clients)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info):
        self.leave()

    def leave(self):
        """Stop talking; every message that was sent has had its echo by then."""
        self._leaving.set()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive(), "a client neither heard nor was closed"

    def slowest(self):
        """The wait that one message in a hundred exceeded, in seconds."""
        return statistics.quantiles(self.waits, n=100)[98]

    def _talk(self, number):
        try:
            self._talk_until_leaving(number)
        except OSError:
            self.broken.append(number)

    def _talk_until_leaving(self, number):
        with Client(self.port, self.path) as client:
            due_at = time.monotonic()
            for count in itertools.count():
                if self._leaving.wait(max(0, due_at - time.monotonic())):
                    client.close()
                    return
                text = f"message {count} of client {number}"
                began_at = time.monotonic()
                self.sent.append(text)
                client.send(text)
                echo = client.receive()
                if echo is None or echo.opcode == CLOSE:
                    raise ConnectionError
                assert echo.text == text
                self.heard.append(text)
                self.waits.append(time.monotonic() - began_at)
                due_at = max(due_at + self.interval, began_at)
