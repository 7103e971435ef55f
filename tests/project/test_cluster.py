"""`make cluster`: one address, three processes, PostgreSQL and Redis, one Ctrl-C."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile

import psycopg
import pytest
import websockets

from ..clock import until
from ..faults.conftest import KINDS, LONG
from ..server import ROOT, Server
from .test_up import hear


class Cluster(Server):
    """The cluster, in the place of one server."""

    def spawn(self):
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "project.cluster"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # as a shell gives a job its own group
            )
        return self

    def rows(self, sql, *parameters):
        with psycopg.connect(self.database_url) as database:
            return database.execute(sql, parameters).fetchall()

    @property
    def database_url(self):
        """Where the private PostgreSQL is; its port stands in its own file."""
        directory = self.data_dir / "cluster"
        port = (directory / "postgres/postmaster.pid").read_text().splitlines()[3]
        password = (directory / "postgres-password").read_text()
        return f"postgres://postgres:{password}@127.0.0.1:{port}/postgres"


@pytest.fixture(params=KINDS if LONG else ["uvicorn"])
def cluster(request):
    with tempfile.TemporaryDirectory(prefix="channelscope-cluster-") as directory:
        os.chmod(directory, 0o711)  # PostgreSQL is another user, if root starts it
        cluster = Cluster(directory, SERVER=request.param)
        yield cluster
        if cluster.process.poll() is None:
            cluster.stop(signal.SIGINT, within=40)


async def test_a_cluster_is_one_chat_behind_one_address_and_ends_as_a_whole(cluster):
    cluster.spawn()
    await until(lambda: "Stop it with Ctrl-C." in cluster.log, within=60)

    def processes():
        return cluster.rows(
            "select name, pid from monitor_process"
            " where stopped_at is null order by name"
        )

    def others_than(killed):
        pids = [pid for _, pid in processes()]
        return pids if len(pids) == 3 and killed not in pids else None

    def three():
        rows = cluster.rows(
            "select client_host, client_port, process_id from monitor_connection"
            " where closed_at is null"
        )
        return rows if len(rows) == 3 else None

    await until(lambda: len(processes()) == 3, within=30)
    assert [name for name, _ in processes()] == ["web-1", "web-2", "web-3"]
    forged = {"X-Forwarded-For": "203.0.113.9"}
    cookie = {"Cookie": cluster.cookie("ana"), **forged}
    async with (
        cluster.connect("/ws/chat/", "bruno") as bruno,
        cluster.connect("/ws/chat/", "bruno") as again,
    ):
        await hear(bruno, "history")
        await hear(again, "history")
        async with websockets.connect(
            f"ws://{cluster.host}/ws/chat/",
            origin=cluster.url,
            additional_headers=cookie,
        ) as ana:
            await ana.send(json.dumps({"message": "hola"}))
            for one in (bruno, again):
                assert (await hear(one, "message"))["user"] == "ana"
            rows = await until(three)
            assert {(host, port) for host, port, _ in rows} == {("127.0.0.1", None)}
            assert len({process for *_, process in rows}) > 1

    # One that is paused holds up nobody for long; one that was killed comes back, and
    # one that was drained does not.
    (_, paused), (_, killed), (_, drained) = processes()
    os.kill(paused, signal.SIGSTOP)
    for _ in range(4):
        assert cluster.get("/login/").status == 200
    os.kill(paused, signal.SIGCONT)
    os.kill(killed, signal.SIGKILL)
    pids = await until(lambda: others_than(killed), within=30)
    os.kill(drained, signal.SIGTERM)
    await until(lambda: len(processes()) == 2, within=20)
    await until(lambda: "web-3 stopped (rc=0)" in cluster.log)
    assert cluster.get("/login/").status == 200
    cluster.process.send_signal(signal.SIGINT)
    assert await until(lambda: cluster.process.poll() is not None, within=40)

    assert cluster.process.returncode == 0, cluster.log
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with (
        pytest.raises(ConnectionRefusedError),
        socket.create_connection(("127.0.0.1", cluster.port)),
    ):
        pass
    assert "Stopped; everything is stored." in cluster.log
