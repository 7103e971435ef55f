"""The servers under test, shared by all tests that leave them alive."""

import contextlib
import itertools
import os
import random
import shutil

import psycopg
import pytest

from ..rfc6455 import Client
from ..server import Server
from ..services import RedisServer, postgres_server
from .server import FaultServer

LONG = os.environ.get("SOAK") == "1"  # `make soak`
SEED = int(os.environ.get("SEED") or random.randrange(2**32))
KINDS = ["daphne", "uvicorn"]
numbers = itertools.count(1)


@pytest.fixture(scope="session", params=KINDS)
def kind(request):
    """The name of the server under test."""
    return request.param


@pytest.fixture(scope="session")
def shared_server(kind, migrated, tmp_path_factory):
    """One server of each kind for all tests; it soon tires of silent clients."""
    data = shutil.copytree(migrated, tmp_path_factory.mktemp(kind) / "data")
    server = FaultServer(data, SERVER=kind, PING_INTERVAL="1", PING_TIMEOUT="2")
    yield server
    server.__exit__()


@pytest.fixture
def server(shared_server):
    """The shared server, started again if a test has stopped it."""
    return shared_server if shared_server.running else shared_server.start()


@pytest.fixture
def own_server(kind, migrated, tmp_path):
    """A server of the test's own, to be configured and started by it."""
    data = shutil.copytree(migrated, tmp_path / "data")
    server = FaultServer(data, SERVER=kind, MONITOR_SEGMENT_SIZE=str(32 * 2**10))
    yield server
    server.__exit__()


@pytest.fixture
def path():
    """The last part of a path, for this test alone. A long one would be masked."""
    return f"test-{next(numbers)}"


@pytest.fixture
def connect(server):
    """A function that connects a client to a path; the test ends with all gone."""
    clients = []

    def connect(path, **headers):
        clients.append(Client(server.port, path, **headers))
        return clients[-1]

    yield connect
    for client in clients:
        client.drop()


@pytest.fixture(scope="session")
def shared_postgres(tmp_path_factory):
    """One PostgreSQL for all tests, each of which gets a database of its own."""
    with postgres_server() as postgres:
        with psycopg.connect(postgres.url, autocommit=True) as database:
            database.execute("CREATE DATABASE migrated")
        url = database_url(postgres, "migrated")
        with Server(tmp_path_factory.mktemp("template"), DATABASE_URL=url) as server:
            assert server.stop() == 0
        yield postgres


def database_url(postgres, name):
    """The URL of another database of a server."""
    return f"{postgres.url.rpartition('/')[0]}/{name}"


@pytest.fixture(scope="session")
def shared_redis():
    """One Redis for all tests that leave it alone."""
    with RedisServer() as redis:
        yield redis


@pytest.fixture(scope="session")
def new_database(shared_postgres):
    """A function that makes a migrated database, and returns its URL."""

    def new_database():
        name = f"test_{next(numbers)}"
        with psycopg.connect(shared_postgres.url, autocommit=True) as database:
            database.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
        return database_url(shared_postgres, name)

    return new_database


@pytest.fixture(scope="module")
def outgrown(new_database, shared_redis):
    """The environment of processes that share a database and a layer."""
    return {
        "DATABASE_URL": new_database(),
        "REDIS_URL": shared_redis.url,
        "SECRET_KEY": "a-secret-for-a-test-that-is-long-enough-to-be-one",
        "CHAT_RATE": "1000",
    }


def all_back(servers):
    """Start those again that a test has stopped."""
    for server in servers:
        if server.process.poll() is not None:
            server.start()
    return servers


@contextlib.contextmanager
def all_started(*servers):
    """Start servers side by side; they end together, too."""
    try:
        for server in servers:
            server.spawn()
        for server in servers:
            server.cookies = servers[0].cookies
            server.ready()
        yield servers
    finally:
        for server in servers:
            server.__exit__()
