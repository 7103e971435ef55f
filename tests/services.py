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

from .server import free_port

DEBIANS_POSTGRES = Path("/usr/lib/postgresql")  # its programs are not on the PATH


def postgres_program(name):
    """The newest installed PostgreSQL's program of this name, or None."""
    found = sorted(DEBIANS_POSTGRES.glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


@contextlib.contextmanager
def postgres():
    """Run a PostgreSQL server; yields its DATABASE_URL."""
    directory = Path(tempfile.mkdtemp(prefix="channelscope-postgres-"))
    port = free_port()
    data = str(directory / "data")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        account = pwd.getpwnam("postgres")
        os.chown(directory, account.pw_uid, account.pw_gid)
        quiet |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    initdb = [postgres_program("initdb"), "-D", data, "-U", "postgres"]
    subprocess.run([*initdb, "--auth=trust", "--no-sync"], check=True, **quiet)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {directory} -c fsync=off"
    control = [postgres_program("pg_ctl"), "-D", data, "-w"]
    log = ["-l", str(directory / "log")]
    subprocess.run([*control, "-o", options, *log, "start"], check=True, **quiet)
    try:
        yield f"postgres://postgres@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def redis_server():
    """Run a Redis server without persistence; yields its REDIS_URL."""
    port = free_port()
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        cwd="/",
        stdout=subprocess.DEVNULL,
    )
    url = f"redis://127.0.0.1:{port}/0"
    try:
        with redis.Redis.from_url(url) as client:
            _wait_for(client)
        yield url
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(client):
    deadline = time.monotonic() + 10
    while True:
        try:
            return client.ping()
        except redis.ConnectionError:
            assert time.monotonic() < deadline, "Redis does not answer"
            time.sleep(0.05)
