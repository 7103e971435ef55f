"""The servers under test, shared by all tests that leave them alive."""

import itertools
import os
import random
import shutil

import pytest

from ..rfc6455 import Client
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
