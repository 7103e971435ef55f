"""A crowd: 10,000 idle members of three processes, and 2,000 who come back at once.

python -m tests.bench.crowd --members 10000 --storm 2000
"""

import json
import queue
import select
import statistics
import struct
import subprocess
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from ..server import ROOT, Server
from ..services import postgres, redis_server
from . import processes
from .load import MASK, frame
from .members import ChatMember
from .variants import options

MEMBERS, STORM = 10_000, 2_000
USERS, ROOMS = 50, 1_000
AT_ONCE = 32  # handshakes under way
REST = 20.0  # seconds without anybody doing anything
SETTLE = 5.0
PING, CLOSE = 0x89, 0x88  # first bytes of frames
PONG = 0x8A
NO_LIMIT = "1000000"


@dataclass
class Outcome:
    """What the crowd cost."""

    members: int
    connect_rate: float  # a second
    memory: float  # kB of all processes for each member
    rows_a_second: float  # changed in the database while everybody is idle
    commits_a_second: float
    storm: int
    back_within: float  # seconds until all have their history
    queries: float  # for each who comes back
    others: list[float] = field(default_factory=list)  # ms until an ack, meanwhile
    before: list[float] = field(default_factory=list)  # the same at rest


class Crowd:
    """Members who say nothing and answer pings."""

    def __init__(self):
        self.epoll = select.epoll()
        self.members = {}
        self.lost = 0
        self.unread = {}
        self.coming = queue.SimpleQueue()
        self.leaving = False
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def add(self, member):
        """Take in a member that has just joined."""
        member.socket.setblocking(False)
        self.members[member.fd] = member
        self.unread[member.fd] = bytes(member._unread)
        self.epoll.register(member.fd, select.EPOLLIN)

    def drop(self, count):
        """Have some members vanish with a TCP RST."""
        for fd in list(self.members)[:count]:
            member = self.members.pop(fd)
            self.epoll.unregister(fd)
            linger = struct.pack("ii", True, 0)
            member.socket.setsockopt(1, 13, linger)  # SOL_SOCKET, SO_LINGER
            member.socket.close()

    def leave(self):
        """Everybody goes."""
        self.leaving = True
        self.thread.join()
        self.drop(len(self.members))

    def _serve(self):
        while not self.leaving:
            for fd, _ in self.epoll.poll(0.2):
                member = self.members.get(fd)
                if member is not None:
                    self._read(fd, member)

    def _read(self, fd, member):
        try:
            data = member.socket.recv(2**16)
        except OSError:
            data = b""
        if not data:
            self.lost += 1
            self.members.pop(fd, None)
            self.epoll.unregister(fd)
            return
        data = self.unread[fd] + data
        while len(data) >= 2:
            size, head = data[1], 2
            if size >= 126:
                head = 4 if size == 126 else 10
                size = int.from_bytes(data[2:head])
            if len(data) < head + size:
                break
            if data[0] == PING:
                payload = data[head : head + size]
                masked = bytes(b ^ MASK[i % 4] for i, b in enumerate(payload))
                member.socket.send(bytes([PONG, 0x80 | size]) + MASK + masked)
            data = data[head + size :]
        self.unread[fd] = data


class Site:
    """Three processes of the site, and what they use."""

    def __init__(self, servers, cookies, database_url):
        self.servers = servers
        self.cookies = cookies
        self.database = psycopg.connect(database_url, autocommit=True)
        self.measured = [processes.Measured(server.process.pid) for server in servers]

    def join(self, number):
        """A new member, one of ten in its room."""
        port = self.servers[number % len(self.servers)].port
        room = f"room-{number % ROOMS}"
        return ChatMember(port, room, self.cookies[number % USERS])

    def memory(self):
        """kB of all processes together."""
        return sum(one.memory() for one in self.measured)

    def changed(self):
        """Rows changed and transactions committed so far."""
        self.database.execute("select pg_stat_clear_snapshot()")
        row = self.database.execute(
            "select tup_inserted + tup_updated + tup_deleted, xact_commit"
            " from pg_stat_database where datname = current_database()"
        )
        return row.fetchone()


def measure(members, storm):
    """Fill three processes, let them rest, and have some come back at once."""
    with (
        tempfile.TemporaryDirectory(prefix="channelscope-crowd-") as directory,
        postgres() as database_url,
        redis_server() as redis_url,
    ):
        environment = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SECRET_KEY": "a-secret-for-a-bench-that-is-long-enough-to-be-one",
            "CHAT_MAX_CONNECTIONS": NO_LIMIT,
            "CHAT_RATE": NO_LIMIT,
        }
        data = Path(directory) / "data"
        servers = [Server(data, SERVER="uvicorn", **environment) for _ in range(3)]
        with servers[0], servers[1], servers[2]:
            done = subprocess.run(
                processes.command("tests.bench.people", str(USERS), str(ROOMS)),
                cwd=ROOT,
                env=processes.environment(data, **environment),
                check=True,
                stdout=subprocess.PIPE,
            )
            site = Site(servers, json.loads(done.stdout), database_url)
            return _measure(site, members, storm)


def _measure(site, members, storm):
    crowd = Crowd()
    with ThreadPoolExecutor(AT_ONCE) as hands:
        memory, began_at = site.memory(), time.monotonic()
        for member in hands.map(site.join, range(members)):
            crowd.add(member)
        rate = members / (time.monotonic() - began_at)
        time.sleep(SETTLE)
        memory = (site.memory() - memory) / members

        rows, commits = site.changed()
        time.sleep(REST)
        rows_after, commits_after = site.changed()
        idle = (commits_after - commits) / REST
        speaker = site.join(0)
        before = [acknowledged(speaker) for _ in range(100)]
        speaker.socket.close()

        crowd.drop(storm)
        time.sleep(SETTLE)
        _, commits = site.changed()
        others, ends = [], threading.Event()
        listener = threading.Thread(target=_speak, args=(site.join(0), others, ends))
        listener.start()
        began_at = time.monotonic()
        for member in hands.map(site.join, range(storm)):
            crowd.add(member)
        back_within = time.monotonic() - began_at
        ends.set()
        listener.join()
        _, commits_after_storm = site.changed()
    assert crowd.lost == 0, f"{crowd.lost} members were closed"
    crowd.leave()
    noise = idle * back_within + len(others)
    return Outcome(
        members=members,
        connect_rate=rate,
        memory=memory,
        rows_a_second=(rows_after - rows) / REST,
        commits_a_second=idle,
        storm=storm,
        back_within=back_within,
        queries=(commits_after_storm - commits - noise) / storm,
        others=others,
        before=before,
    )


def _speak(speaker, waits, ends):
    """Say something now and then, and note how long the ack takes."""
    while not ends.wait(0.05):
        waits.append(acknowledged(speaker))


def acknowledged(member):
    """Say something, and return the milliseconds until it is acknowledged."""
    text = b'{"message": "hola", "client_id": "%s"}' % str(uuid.uuid4()).encode()
    began_at = time.perf_counter()
    member.socket.sendall(frame(text))
    while not member.read().startswith(b'{"type":"ack"'):
        pass
    return (time.perf_counter() - began_at) * 1000


def run(rounds=1, members=MEMBERS, storm=STORM):
    """Measure once: it takes long enough. A list of one `Outcome`."""
    processes.raise_file_limit(members + 500)
    outcome = measure(members, storm)
    tell(outcome)
    return [outcome]


def tell(outcome):
    """Print what was measured."""
    p99 = statistics.quantiles(outcome.others, n=100)[98]
    at_rest = statistics.quantiles(outcome.before, n=100)[98]
    print(
        f"{outcome.members:,} members: {outcome.connect_rate:.0f} joined a second, "
        f"{outcome.memory:.1f} kB each; at rest {outcome.rows_a_second:.1f} rows and "
        f"{outcome.commits_a_second:.1f} transactions a second\n"
        f"{outcome.storm:,} came back within {outcome.back_within:.1f} s, with "
        f"{outcome.queries:.1f} transactions each; others' p99 {p99:.0f} ms, "
        f"{at_rest:.0f} at rest",
        flush=True,
    )


def main():
    """Measure what the command line says."""
    given = options(__doc__, rounds=1, members=MEMBERS, storm=STORM)
    run(given.rounds, given.members, given.storm)


if __name__ == "__main__":
    main()
