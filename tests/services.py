"""PostgreSQL and Redis of our own: private data, own ports, gone afterwards."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import redis

from project.cluster import postgres_program

from .server import free_port


class Postgres:
    """A PostgreSQL server that can be stopped and started again."""

    def __init__(self, directory):
        self.port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        self._directory = directory
        self._data = str(directory / "data")
        self._as = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._as["cwd"] = "/"
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            account = pwd.getpwnam("postgres")
            os.chown(directory, account.pw_uid, account.pw_gid)
            user = {"user": account.pw_uid, "group": account.pw_gid}
            self._as |= {**user, "extra_groups": []}
        initdb = [postgres_program("initdb"), "-D", self._data, "-U", "postgres"]
        subprocess.run([*initdb, "--auth=trust", "--no-sync"], check=True, **self._as)

    def start(self):
        """Start, and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1"
        options += f" -k {self._directory} -c fsync=off"
        log = ["-l", str(self._directory / "log")]
        self._control("-o", options, *log, "start").check_returncode()

    def stop(self):
        """Stop as a crash would."""
        self._control("-m", "immediate", "stop")

    @property
    def pid(self):
        """Of the process that has started all others of it."""
        return int(Path(self._data, "postmaster.pid").read_text().split()[0])

    def _control(self, *arguments):
        command = [postgres_program("pg_ctl"), "-D", self._data, "-w", *arguments]
        return subprocess.run(command, **self._as)


@contextlib.contextmanager
def postgres_server():
    """Run a PostgreSQL server; yields the `Postgres`."""
    directory = Path(tempfile.mkdtemp(prefix="channelscope-postgres-"))
    server = Postgres(directory)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def postgres():
    """Run a PostgreSQL server; yields its DATABASE_URL."""
    with postgres_server() as server:
        yield server.url


class RedisServer:
    """A Redis server without persistence that can be killed and started again."""

    def __init__(self):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        self._process.terminate()
        self._process.wait(10)

    def start(self):
        """Start, and wait until it answers."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        self._process = subprocess.Popen(
            [*command, "--save", ""], cwd="/", stdout=subprocess.DEVNULL
        )
        with redis.Redis.from_url(self.url) as client:
            _wait_for(client)

    @property
    def pid(self):
        """Of the process."""
        return self._process.pid

    def kill(self):
        """End as a crash would."""
        self._process.kill()
        self._process.wait(10)


@contextlib.contextmanager
def redis_server():
    """Run a Redis server without persistence; yields its REDIS_URL."""
    with RedisServer() as server:
        yield server.url


def _wait_for(client):
    deadline = time.monotonic() + 10
    while True:
        try:
            return client.ping()
        except redis.ConnectionError:
            assert time.monotonic() < deadline, "Redis does not answer"
            time.sleep(0.05)
