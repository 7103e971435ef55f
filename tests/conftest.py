"""What all tests share: settings for tests, and the real server."""

import shutil

import hypothesis
import pytest

from monitor.processes import local

from .server import Server

# The machines are shared: how long an example takes says nothing.
hypothesis.settings.register_profile(
    "shared",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    database=None,
)
hypothesis.settings.load_profile("shared")


@pytest.fixture(autouse=True)
def quick_settings(settings, tmp_path):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.ALLOWED_HOSTS = ["testserver", "127.0.0.1"]
    settings.MONITOR_JOURNAL_DIR = str(tmp_path / "journal")
    settings.MONITOR_TICK_INTERVAL = 0.02  # each test waits for its last tick
    settings.WHITENOISE_AUTOREFRESH = True  # or each client looks at all static files


@pytest.fixture(autouse=True)
def nothing_stays_unrecorded(request):
    """Every test starts with a process of its own, and leaves none behind."""
    if "transactional_db" in request.fixturenames:
        # Torn down after this fixture, so that what waits can still be stored.
        request.getfixturevalue("transactional_db")
    yield
    process, local._process = local._process, None
    if process is not None:
        assert not process.registry, "a connection was left open"
        assert process.stop(), "something stayed in the journal"
        assert process.failures == 0, "the monitor failed on the way"
        assert process.dropped == 0, "the monitor lost something"
        assert process.set_aside == 0, "the database refused something"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """The data of a server that has been started once: copying it saves a second."""
    with Server(tmp_path_factory.mktemp("migrated") / "data") as server:
        assert server.stop() == 0
    server.log_path.unlink()
    return server.data_dir


@pytest.fixture(params=["daphne", "uvicorn"])
def server(request, migrated, tmp_path):
    """The real server, to be started by the test, on each of the two servers."""
    server = Server(shutil.copytree(migrated, tmp_path / "data"), SERVER=request.param)
    yield server
    server.__exit__()


@pytest.fixture
def daphne(migrated, tmp_path):
    """The real server as it is by default, to be started by the test."""
    server = Server(shutil.copytree(migrated, tmp_path / "data"))
    yield server
    server.__exit__()
