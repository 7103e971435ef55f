"""Everything at once: processes, PostgreSQL, Redis and clients fail at random, and once
all is calm nothing is missing, nothing is twice, and what is shown is true."""

import asyncio
import contextlib
import functools
import random
import signal
import time
from dataclasses import dataclass, field

import psycopg
import pytest
import redis as redis_client

from ..clock import until
from ..proxy import Proxy
from ..rfc6455 import Client
from ..server import Server
from ..services import RedisServer
from .conftest import LONG, SEED, all_started
from .invariants import (
    CALM_WITHIN,
    holdings,
    kernels_view,
    wait_until_all_hold,
    wait_until_the_truth_is_shown,
)
from .page import Page

SERVERS = ["uvicorn", "daphne", "uvicorn"]
ROUNDS, CHAOS = (12, 30.0) if LONG else (1, 10.0)  # and seconds of each round
LONGEST = 6.0 if LONG else 2.5  # seconds of one fault; starting again comes on top
PAGES = 24
USERS = ["ana", "bruno", "vera", "olga"]
INTERVAL = 0.5  # seconds between two messages of one page
VISITORS = 6  # clients at once that end in a way of their own
# What a process that went through all of it may hold more than one that has started:
POOL = 10  # connections to PostgreSQL, project/settings.py, and as many threads
MEMORY = 48 * 2**20  # bytes


@dataclass
class Process:
    """A process of the site, and the networks around it."""

    server: Server
    to_postgres: Proxy
    to_redis: Proxy
    to_clients: Proxy


@dataclass
class Site:
    """All that can fail."""

    processes: list[Process]
    redis: RedisServer
    rows: object  # asks PostgreSQL, around its networks
    visitors: list[Client] = field(default_factory=list)
    breaks: int = 0  # of connections to Redis

    @property
    def servers(self):
        return [process.server for process in self.processes]


@pytest.fixture
def site(new_database, tmp_path):
    """Three processes, one PostgreSQL and one Redis, and every network between them."""
    database_url = new_database()
    port = int(database_url.rpartition(":")[2].partition("/")[0])

    def rows(sql):
        with psycopg.connect(database_url) as database:
            return database.execute(sql).fetchall()

    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        processes = []
        for number, kind in enumerate(SERVERS):

            def network(to_port, seed=SEED + number):
                return stack.enter_context(Proxy(to_port, seed))

            to_postgres, to_redis = network(port), network(redis.port)
            server = Server(
                tmp_path / "data",
                SERVER=kind,
                SECRET_KEY="a-secret-for-a-test-that-is-long-enough-to-be-one",
                DATABASE_URL=database_url.replace(f":{port}/", f":{to_postgres.port}/"),
                REDIS_URL=f"redis://127.0.0.1:{to_redis.port}/0",
                CHAT_RATE="1000",
                CHAT_MAX_CONNECTIONS="1000",
            )
            networks = to_postgres, to_redis, network(server.port)
            processes.append(Process(server, *networks))
        site = Site(processes, redis, rows)
        stack.enter_context(all_started(*site.servers))
        for user in USERS:
            site.servers[0].cookie(user)
        yield site


# What can go wrong with a process -----------------------------------------------------


@contextlib.contextmanager
def killed(process):
    """It dies as by `kill -9`, and starts again."""
    process.server.kill()
    yield
    process.server.start()


@contextlib.contextmanager
def restarted(process):
    """It is asked to stop, and starts again."""
    assert process.server.stop() == 0
    yield
    process.server.start()


@contextlib.contextmanager
def paused(process):
    """It stands still, for example because its machine does."""
    process.server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.server.process.send_signal(signal.SIGCONT)


def cut_off_from_postgres(process):
    """Nothing gets through to the database, and nobody is told."""
    return process.to_postgres.black_hole()


def unanswered_by_postgres(process):
    """What it asks is done, and it does not hear so."""
    return process.to_postgres.lost_replies()


def slow_postgres(process):
    """Each piece takes a while."""
    return process.to_postgres.slow(0.1)


def cut_off_from_redis(process):
    """Nothing gets through to the layer, and nobody is told."""
    return process.to_redis.black_hole()


def cut_off_from_clients(process):
    """Its clients hear nothing, and neither side is told."""
    return process.to_clients.black_hole()


def slow_clients(process):
    """What they send and get takes a while."""
    return process.to_clients.slow(0.3)


def reset(*networks):
    """All connections of these networks are reset."""

    @contextlib.contextmanager
    def cut(process):
        for network in networks:
            getattr(process, network).cut()
        yield

    cut.__name__ = f"reset {' and '.join(networks)}"
    return cut


PROCESS_FAULTS = [
    *(killed, restarted, paused),
    *(cut_off_from_postgres, unanswered_by_postgres, slow_postgres),
    *(cut_off_from_redis, cut_off_from_clients, slow_clients),
    *(reset("to_postgres"), reset("to_redis"), reset("to_clients")),
    reset("to_postgres", "to_redis", "to_clients"),
]


# What can go wrong with Redis ---------------------------------------------------------


@contextlib.contextmanager
def redis_killed(site):
    """It dies, and starts again knowing nothing."""
    site.redis.kill()
    yield
    site.redis.start()


@contextlib.contextmanager
def redis_unsubscribed(site):
    """It drops all who listen."""
    with redis_client.Redis(port=site.redis.port) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    yield


# What clients do ----------------------------------------------------------------------


@contextlib.contextmanager
def visited(site):
    """Somebody comes, and leaves in one of many ways. Those who vanish stay open."""
    chance = random.Random(f"{SEED} visitor {len(site.visitors)}")
    for _ in range(VISITORS):
        process = chance.choice(site.processes)
        port = process.to_clients.port
        cookie = process.server.cookie(chance.choice(USERS))
        origin = f"http://127.0.0.1:{port}"
        # A process that is away is no fault of theirs.
        with contextlib.suppress(OSError):
            client = Client(port, "/ws/chat/", timeout=3, cookie=cookie, origin=origin)
            site.visitors.append(client)
            end = chance.choice(["close", "half_close", "reset", "drop", None])
            if end is not None:
                getattr(client, end)()
    yield


# Chaos --------------------------------------------------------------------------------


def suffer(site, target, faults, chance, over_at):
    """Have one of `faults` after the other happen to a process, or to the site."""
    name = "the site" if target is site else f"process {site.processes.index(target)}"
    while (left := over_at - time.monotonic()) > 0:
        fault = chance.choice(faults)
        seconds = min(chance.uniform(0.2, LONGEST), left)
        with fault(target):
            time.sleep(seconds)
        print(f"{name}: {fault.__name__}, {seconds:.1f} s")
        if "redis" in fault.__name__:
            # Of three processes, each with two that listen: the chat and the monitor.
            site.breaks += 6
        time.sleep(chance.uniform(0, LONGEST / 2))


async def chaos(site, number):
    """Several things go wrong at once, but to each process one after the other."""
    over_at = time.monotonic() + CHAOS
    lanes = [(process, PROCESS_FAULTS) for process in site.processes]
    lanes += [(site, [redis_killed, redis_unsubscribed]), (site, [visited])]
    happening = []
    for lane, (target, faults) in enumerate(lanes):
        chance = random.Random(f"{SEED} {number} {lane}")
        happening.append(
            asyncio.to_thread(suffer, site, target, faults, chance, over_at)
        )
    await asyncio.gather(*happening)


def page_of(number, site):
    """A page that tries one process after the other."""
    first, user = number % len(site.processes), USERS[number % len(USERS)]
    patience = {"open_timeout": 3, "ping_interval": 2, "ping_timeout": 4}
    doors = [
        functools.partial(
            process.server.connect,
            *("/ws/chat/", user),
            port=process.to_clients.port,
            close_timeout=1,
            **patience,
        )
        for process in site.processes[first:] + site.processes[:first]
    ]
    return Page(doors, random.Random(f"{SEED} page {number}"))


async def talk(page, number):
    """Write a message now and then."""
    while True:
        said = len(page.acked) + len(page.unacked)
        await page.say(f"message {said} of page {number}")
        await asyncio.sleep(INTERVAL)


async def is_calm(site, pages):
    """Everything is acknowledged, and everybody sees the same as the database has."""
    if any(page.unacked for page in pages):
        return False
    sql = "select seq, text from chat_message"
    stored = dict(await asyncio.to_thread(site.rows, sql))
    return all(page.seen == stored for page in pages)


async def come_and_go(process):
    """Somebody is on a process for a moment."""
    async with process.server.connect("/ws/chat/", "ana") as socket:
        await socket.recv()


def nobody_listens(site):
    """Whether Redis holds nothing any more, and nobody listens to a group.

    When a break swallows that somebody listens no more, redis-py listens again. A group
    is left by whoever comes and goes next. A channel of one listener stays, but has a
    name of its own and nobody ever says anything there.
    """
    with redis_client.Redis(port=site.redis.port) as client:
        names = client.pubsub_channels()
        groups = [name for name in names if b"__group__" in name]
        print(f"{len(names)} names are left of {site.breaks} breaks")
        return not client.keys() and not groups and len(names) <= site.breaks


async def test_after_any_chaos_nothing_is_missing_or_twice_and_what_is_shown_is_true(
    site,
):
    print(f"SEED={SEED}")
    before = [holdings(server.process.pid) for server in site.servers]
    pages = [page_of(number, site) for number in range(PAGES)]
    tasks = [asyncio.create_task(page.run()) for page in pages]
    await until(lambda: all(page.rev is not None for page in pages))
    for number in range(ROUNDS):
        talking = [asyncio.create_task(talk(p, n)) for n, p in enumerate(pages)]
        await chaos(site, number)
        for task in talking:
            task.cancel()
        calm_at = time.monotonic()

        await until(functools.partial(is_calm, site, pages), CALM_WITHIN)
        acked = {key: seq for page in pages for key, seq in page.acked.items()}
        rows = site.rows("select client_id, seq from chat_message")
        assert acked == {str(key): seq for key, seq in rows}
        await asyncio.to_thread(wait_until_the_truth_is_shown, site.rows, site.servers)
        await asyncio.to_thread(wait_until_all_hold, site.rows)
        calm = time.monotonic() - calm_at
        print(f"round {number}: {len(acked)} messages; calm after {calm:.1f} s")

    assert not [task for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for visitor in site.visitors:
        visitor.drop()
    for process in site.processes:
        await come_and_go(process)
    await until(lambda: not held(site), CALM_WITHIN)
    await asyncio.to_thread(wait_until_the_truth_is_shown, site.rows, site.servers)
    await asyncio.to_thread(wait_until_all_hold, site.rows)
    await until(lambda: nobody_listens(site), CALM_WITHIN)
    for server, then in zip(site.servers, before, strict=True):
        now = holdings(server.process.pid)
        print(f"{server.environment['SERVER']}: {then}, then {now}")
        assert now.files <= then.files + POOL
        assert now.threads <= then.threads + POOL
        assert now.memory <= then.memory + MEMORY


def held(site):
    """The connections that clients still have, by the kernel."""
    return [port for server in site.servers for port in kernels_view(server.port)]
