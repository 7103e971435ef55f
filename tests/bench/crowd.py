"""A crowd: 10,000 idle members of three processes, and 2,000 who come back at once.

python -m tests.bench.crowd --members 10000 --storm 2000 --only uvicorn
"""

import contextlib
import json
import subprocess
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import psycopg

from ..server import ROOT, Server
from ..services import RedisServer, postgres_server
from . import processes
from .guests import Crowd, Guest
from .members import ChatMember, frame, percentile
from .targets import of_crowd
from .variants import SERVERS, options

PROCESSES = 3
MEMBERS, STORM = 10_000, 2_000
ROOMS = 1_000
AT_ONCE = 64  # who join at the same time, at first; in the storm, everybody
SETTLE = 5.0  # seconds
TOLD = 20.0  # seconds until all lists of rooms have heard who came last
REST = 30.0  # seconds without anybody doing anything
TALK = 10.0  # seconds
RATES = (200, 600)  # messages a second, of all together
MISSED = 10  # messages in each room, while those of the storm are away
PAUSE = 0.05  # seconds between two messages of those who are watched
BEFORE = 200  # messages of theirs that are timed before the storm
NO_LIMIT = "1000000"
WRITES = "insert|update|delete|copy"


@dataclass
class Outcome:
    """What the crowd cost."""

    members: int
    joined_a_second: float
    empty: float  # kB of a process without members
    memory: float  # kB more for each member
    resting: "Cost"  # a second, while nobody does anything
    talking: dict[int, "Cost"]  # a message in a room of ten, by messages a second
    storm: int
    back_within: float  # seconds until all have what they missed
    statements: float  # for each who comes back, whatever else runs included
    returning: "Cost"  # for each who comes back
    before: list[float]  # ms until a message is with members of all processes
    others: list[float]  # the same while the others come back
    connections: int  # to PostgreSQL, in the end


@dataclass
class Cost:
    """What was used, divided by something."""

    process: float  # seconds of CPU of all processes together
    postgres: float  # of PostgreSQL
    redis: float  # of Redis
    statements: float  # in PostgreSQL
    writes: float  # of them
    rows: float  # written

    def __sub__(self, other):
        return Cost(*(a - b for a, b in zip(self.all, other.all, strict=True)))

    def __truediv__(self, count):
        return Cost(*(value / count for value in self.all))

    def __mul__(self, count):
        return Cost(*(value * count for value in self.all))

    @property
    def all(self):
        """Its figures, in order."""
        return tuple(vars(self).values())


class Site:
    """Three processes of the site, and what they use."""

    def __init__(self, servers, cookies, postgres, redis):
        self.servers = servers
        self.cookies = cookies
        self.postgres = postgres
        self.redis = processes.Measured(redis.pid)
        self.processes = [processes.Measured(one.process.pid) for one in servers]
        self.database = psycopg.connect(postgres.url, autocommit=True)

    def guest(self, number):
        """A new member, one of ten in its room."""
        port = self.servers[number % PROCESSES].port
        return Guest(port, f"room-{number % ROOMS}", self.cookies[number])

    def speakers(self):
        """Members of one room, on each process one."""
        return [
            ChatMember(server.port, "room-0", self.cookies[number])
            for number, server in enumerate(self.servers)
        ]

    def memory(self):
        """kB of all processes together."""
        return sum(one.memory() for one in self.processes)

    def used(self):
        """What has been used so far."""
        row = self.database.execute(
            "select coalesce(sum(calls), 0),"
            " coalesce(sum(calls) filter (where query ~* %(writes)s), 0),"
            " coalesce(sum(rows) filter (where query ~* %(writes)s), 0)"
            " from pg_stat_statements where query !~ 'pg_stat_'",
            {"writes": rf"^\s*({WRITES})"},
        ).fetchone()
        return Cost(
            sum(one.cpu() for one in self.processes),
            processes.cpu_of_family(self.postgres.pid),
            self.redis.cpu(),
            *map(float, row),
        )

    def connections(self):
        """How many connections to PostgreSQL the processes have."""
        row = self.database.execute(
            "select count(*) from pg_stat_activity where pid <> pg_backend_pid()"
            " and datname = current_database()"
        )
        return row.fetchone()[0]

    def most_asked(self):
        """The statements that were executed most often, and how often."""
        return self.database.execute(
            "select calls, left(regexp_replace(query, '\\s+', ' ', 'g'), 110)"
            " from pg_stat_statements where query !~ 'pg_stat_'"
            " order by calls desc limit 12"
        ).fetchall()

    def forget(self):
        """Count statements from now on."""
        self.database.execute("select pg_stat_statements_reset()")


@contextlib.contextmanager
def running(kind, members):
    """Run three processes, PostgreSQL and Redis; yields the `Site`."""
    with (
        tempfile.TemporaryDirectory(prefix="channelscope-crowd-") as directory,
        counting_postgres() as postgres,
        RedisServer() as redis,
    ):
        environment = {
            "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url,
            "SECRET_KEY": "a-secret-for-a-bench-that-is-long-enough-to-be-one",
            "CHAT_MAX_CONNECTIONS": NO_LIMIT,
            "CHAT_RATE": NO_LIMIT,
        }
        data = Path(directory) / "data"
        servers = [Server(data, SERVER=kind, **environment) for _ in range(PROCESSES)]
        with contextlib.ExitStack() as stack:
            for server in servers:
                stack.enter_context(server)
            done = subprocess.run(
                processes.command("tests.bench.people", str(members), str(ROOMS)),
                cwd=ROOT,
                env=processes.environment(data, **environment),
                check=True,
                stdout=subprocess.PIPE,
            )
            yield Site(servers, json.loads(done.stdout), postgres, redis)


@contextlib.contextmanager
def counting_postgres():
    """Run a PostgreSQL that counts statements by what they say."""
    preload = "alter system set shared_preload_libraries = 'pg_stat_statements'"
    without_commits = "alter system set pg_stat_statements.track_utility = off"
    with postgres_server() as server:
        with psycopg.connect(server.url, autocommit=True) as database:
            database.execute(preload)
        server.stop()
        server.start()
        with psycopg.connect(server.url, autocommit=True) as database:
            database.execute("create extension pg_stat_statements")
            database.execute(without_commits)
            database.execute("select pg_reload_conf()")
        yield server


def measure(kind, members, storm):
    """Fill three processes, let them rest and talk, and have some come back."""
    with running(kind, members) as site:
        crowd, empty = Crowd(), site.memory() / PROCESSES

        def progress(words):
            print(f"{kind}: {words}; {crowd.lost} lost", flush=True)

        memory, began_at = site.memory(), time.monotonic()
        crowd.bring([site.guest(number) for number in range(members)], AT_ONCE)
        joined_a_second = members / (time.monotonic() - began_at)
        crowd.rest(TOLD)
        memory = (site.memory() - memory) / members
        progress(f"{members:,} joined, {joined_a_second:.0f} a second")

        site.forget()
        before = site.used()
        crowd.rest(REST)
        resting = (site.used() - before) / REST
        progress("rested")

        talking = {}
        for rate in RATES:
            before, began_at = site.used(), time.monotonic()
            said = crowd.talk(rate, TALK)
            reached = said / (time.monotonic() - began_at)
            crowd.rest(SETTLE)
            took = time.monotonic() - began_at
            talking[rate] = (site.used() - before - resting * took) / said
            progress(f"{said:,} messages said, {reached:.0f} a second")

        gone = crowd.drop(storm)
        crowd.talk(RATES[1], MISSED * ROOMS / RATES[1])
        crowd.rest(SETTLE)
        with Watched(site) as watched:
            crowd.rest(BEFORE * PAUSE)
            calm, watched.waits = watched.waits, []
            site.forget()
            before, began_at = site.used(), time.monotonic()
            crowd.bring(gone, at_once=storm)
            back_within = time.monotonic() - began_at
            others = watched.waits
            progress(f"{storm:,} came back within {back_within:.1f} s")
        crowd.rest(1.0)  # what was recorded of it is stored
        took = time.monotonic() - began_at
        used = site.used() - before
        for calls, query in site.most_asked():
            print(f"{calls:>8} {query}")
        outcome = Outcome(
            members=members,
            joined_a_second=joined_a_second,
            empty=empty,
            memory=memory,
            resting=resting,
            talking=talking,
            storm=storm,
            back_within=back_within,
            statements=used.statements / storm,
            returning=(used - resting * took) / storm,
            before=calm,
            others=others,
            connections=site.connections(),
        )
        assert crowd.lost == 0, f"{crowd.lost} members were closed"
        crowd.leave()
        return outcome


class Watched:
    """Members of one room on all processes, of whom one after the other speaks.

    `waits`: milliseconds from a message until all of them have it.
    """

    def __init__(self, site):
        self.speakers = site.speakers()
        self.waits = []
        self.leaving = threading.Event()
        self.thread = threading.Thread(target=self._speak)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc_info):
        self.leaving.set()
        self.thread.join()
        for speaker in self.speakers:
            speaker.socket.close()

    def _speak(self):
        while not self.leaving.wait(PAUSE):
            speaker, *others = self.speakers
            self.speakers = [*others, speaker]
            text = uuid.uuid4().hex.encode()
            began_at = time.perf_counter()
            speaker.socket.sendall(frame(b'{"message": "%s"}' % text))
            for member in self.speakers:
                while text not in member.read():
                    pass
            self.waits.append(1000 * (time.perf_counter() - began_at))


def run(rounds=1, members=MEMBERS, storm=STORM, only=""):
    """Measure each server once: it takes long enough. An `Outcome` for each."""
    processes.raise_file_limit(members + 500)
    results = {}
    for kind in [kind for kind in SERVERS if kind in (only or kind)]:
        results[kind] = measure(kind, members, storm)
        tell(kind, results[kind])
    return results


def tell(kind, outcome):
    """Print what was measured."""
    resting, returning = outcome.resting, outcome.returning
    talking = "\n".join(
        f"a message, at {rate} a second: {cost.statements:.2f} statements, "
        f"{cost.rows:.1f} rows; CPU of processes {cost.process * 1e6:.0f} µs, "
        f"PostgreSQL {cost.postgres * 1e6:.0f}, Redis {cost.redis * 1e6:.0f}"
        for rate, cost in outcome.talking.items()
    )
    print(
        f"{kind}: {outcome.members:,} members, {outcome.joined_a_second:.0f} joined a "
        f"second, {outcome.memory:.1f} kB each, {outcome.empty / 1000:.0f} MB of a "
        f"process without any; {outcome.connections} connections to PostgreSQL\n"
        f"at rest: {resting.writes:.2f} writes of {resting.rows:.2f} rows and "
        f"{resting.statements:.1f} statements a second; of a core, processes "
        f"{resting.process:.1%}, PostgreSQL {resting.postgres:.1%}, Redis "
        f"{resting.redis:.2%}\n"
        f"{talking}\n"
        f"{outcome.storm:,} came back within {outcome.back_within:.1f} s, with "
        f"{outcome.statements:.2f} statements each; CPU of processes "
        f"{returning.process * 1e6:.0f} µs, PostgreSQL {returning.postgres * 1e6:.0f}, "
        f"Redis {returning.redis * 1e6:.0f}\n"
        f"others' p99 {percentile(outcome.others, 99):.0f} ms (most "
        f"{max(outcome.others):.0f}, of {len(outcome.others)}), "
        f"{percentile(outcome.before, 99):.0f} before",
        flush=True,
    )
    for target in of_crowd(kind, outcome):
        [figure] = target.figures
        print(
            f"{'met' if target.met else 'MISSED'}: {target.name}: {figure:.2f} "
            f"{target.unit}, at most {target.bound}",
            flush=True,
        )


def main():
    """Measure what the command line says."""
    given = options(__doc__, rounds=1, members=MEMBERS, storm=STORM)
    run(given.rounds, given.members, given.storm, given.only)


if __name__ == "__main__":
    main()
