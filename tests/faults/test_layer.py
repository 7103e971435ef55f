"""Redis away, slow or silent: no socket closes, and everybody sees the same."""

import contextlib
import json
import random
import threading
import time

import pytest
import redis as redis_client

from ..proxy import Proxy
from ..rfc6455 import CLOSE, TEXT, Client
from ..server import Server
from ..services import RedisServer
from .conftest import KINDS, LONG, SEED, all_started
from .invariants import wait_until_all_hold
from .server import eventually

OUTAGE = 60.0 if LONG else 5.0  # seconds
RATE = 200 if LONG else 60  # messages a second, of all writers together
MEMBERS = 6  # half of them on each process
POLLED_WITHIN = 5.0  # seconds until a message arrives without Redis
EQUAL_WITHIN = 2.0  # seconds after its return


@pytest.fixture(scope="module")
def redis():
    """A Redis that a test may stop, behind a network that a test may cut."""
    with RedisServer() as server, Proxy(server.port, SEED) as network:
        server.network = network
        yield server


@pytest.fixture(scope="module")
def pair(redis, new_database, tmp_path_factory):
    """Two processes of the site, one on each server."""
    data = tmp_path_factory.mktemp("layer") / "data"
    environment = {
        "SECRET_KEY": "a-secret-for-a-test-that-is-long-enough-to-be-one",
        "CHAT_RATE": "1000",
        "DATABASE_URL": new_database(),
        "REDIS_URL": f"redis://127.0.0.1:{redis.network.port}/0",
    }
    servers = [Server(data, SERVER=kind, **environment) for kind in KINDS]
    with all_started(*servers) as both:
        yield both


class Member:
    """A client that notes what it sees."""

    def __init__(self, server, user="ana"):
        headers = {"cookie": server.cookie(user), "origin": server.url}
        self.client = Client(server.port, "/ws/chat/", timeout=None, **headers)
        self.seqs = []
        self.closed = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def say(self, text):
        self.client.send(json.dumps({"message": text}))

    def leave(self):
        self.client.socket.shutdown(2)
        self.thread.join(10)
        self.client.drop()

    def _read(self):
        with contextlib.suppress(OSError, ValueError):
            while frame := self.client.receive():
                if frame.opcode == CLOSE:
                    break
                if frame.opcode == TEXT and "message" in (
                    content := json.loads(frame.text)
                ):
                    self.seqs.append(content["seq"])
        self.closed = True


class Talk:
    """Members on both processes, some of whom write all the time."""

    def __init__(self, pair, name):
        self.name = name  # what they say is told from what others said before
        self.members = [Member(pair[number % 2]) for number in range(MEMBERS)]
        self.said = 0
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self):
        self._thread.start()
        eventually(lambda: all(len(one.seqs) > 20 for one in self.members))
        return self

    def __exit__(self, *exc_info):
        self.hush()
        for one in self.members:
            one.leave()

    def hush(self):
        """Write nothing any more."""
        self._leaving.set()
        self._thread.join(10)

    def _write(self):
        while not self._leaving.wait(1 / RATE):
            # All on one process: the other hears of them by Redis, or by polling.
            self.members[self.said % 2 * 2].say(f"{self.name} {self.said}")
            self.said += 1

    def have_all(self, newest):
        """Whether every member has seen everything up to a number."""
        return all(one.seqs[-1] == newest for one in self.members)


@contextlib.contextmanager
def killed(redis):
    """Redis has died, and starts again after a while."""
    redis.kill()
    try:
        yield
    finally:
        redis.start()


@contextlib.contextmanager
def paused(redis):
    """Redis takes what it is asked, and does not answer."""
    seconds = OUTAGE + 2 * POLLED_WITHIN
    with redis_client.Redis(port=redis.port) as client:
        over_at = time.monotonic() + seconds
        client.client_pause(int(seconds * 1000), all=True)
        yield
        time.sleep(max(0, over_at - time.monotonic()))  # it would not hear an unpause


@contextlib.contextmanager
def unsubscribed(redis):
    """Redis drops all subscribers, again and again."""
    chance, until = random.Random(SEED), time.monotonic() + OUTAGE / 2
    with redis_client.Redis(port=redis.port) as client:
        while time.monotonic() < until:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            time.sleep(chance.uniform(0, 0.5))
    yield


def black_hole(redis):
    """Nothing gets through between the processes and Redis, and nobody is told."""
    return redis.network.black_hole()


# A Redis that pauses is silent as in a black hole, and its pause cannot be ended.
FAULTS = [killed, unsubscribed, black_hole, *([paused] if LONG else [])]


@pytest.mark.parametrize("fault", FAULTS)
def test_without_redis_everybody_sees_the_same_a_little_later(pair, redis, fault):
    print(f"SEED={SEED}")
    with Talk(pair, fault.__name__) as talk:
        with fault(redis):
            time.sleep(OUTAGE)
            said_at = time.monotonic()
            newest = max(one.seqs[-1] for one in talk.members)
            eventually(
                lambda: all(one.seqs[-1] > newest for one in talk.members),
                within=2 * POLLED_WITHIN,
            )
            polled = time.monotonic() - said_at
        back_at = time.monotonic()
        talk.hush()
        eventually(lambda: talk.have_all(_stored(pair[0])[-1]), within=3 * EQUAL_WITHIN)
        equal = time.monotonic() - back_at
        print(f"{talk.said} messages; polled in {polled:.1f} s, equal in {equal:.1f} s")

        assert not [one for one in talk.members if one.closed]
        for one in talk.members:
            first = one.seqs[0]
            assert one.seqs == list(range(first, first + len(one.seqs)))
    for server in pair:
        assert server.process.poll() is None
    wait_until_all_hold(pair[0].rows)


def _stored(server):
    rows = server.rows("select seq from chat_message order by seq")
    return [seq for (seq,) in rows]
