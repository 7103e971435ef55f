"""`manage.py up` as a process: what it prints, refuses, stores and survives."""

import asyncio
import json
import resource
import select
import signal
import stat
import time
from collections import Counter

import pytest
import websockets

from ..clock import until
from ..rfc6455 import Client
from ..server import PASSWORD, Server

CROWD = 400
SWITCHING_PROTOCOLS, FORBIDDEN = 101, 403
ENDS = ("disconnect", "reject", "error")


async def hear(socket, kind):
    """The next frame of a kind."""
    async with asyncio.timeout(10):
        while (frame := json.loads(await socket.recv()))["type"] != kind:
            pass
    return frame


async def test_how_far_one_has_read_survives_a_stop(server):
    server.start()
    async with server.connect("/ws/chat/", "ana") as ana:
        for seq in (1, 2):  # the first is stored at once, the other in a moment
            await ana.send('{"message": "hola"}')
            await hear(ana, "message")
            await ana.send(json.dumps({"type": "read", "seq": seq}))
            await ana.send('{"type": "whoami"}')
            await hear(ana, "whoami")  # so the server has heard of the other, too

        assert await asyncio.to_thread(server.stop) == 0

    assert server.rows("SELECT read_seq FROM chat_membership") == [(2,)]


async def refused_with(server, path, **options):
    """The HTTP status of a handshake that is refused."""
    with pytest.raises(websockets.InvalidStatus) as refusal:
        async with server.connect(path, **options):
            pass
    return refusal.value.response.status_code


def test_it_prints_the_addresses_and_logins_and_they_work(tmp_path):
    with Server(tmp_path / "data") as server:
        assert f"{server.url}/admin/monitor/live/" in server.log
        assert PASSWORD in server.log
        for name in ("ana", "bruno", "vera", "olga", "admin", "sam"):
            assert f"  {name}" in server.log
            assert server.get("/rooms/", name).status == 200
        assert server.get("/static/monitor/live.js").status == 200


def test_what_it_writes_is_private_and_in_the_data_directory(tmp_path):
    server = Server(tmp_path / "data")
    server.environment.pop("DEMO_PASSWORD")

    with server.start():
        for name in ("secret-key", "demo-password", "channelscope.sqlite3"):
            mode = stat.S_IMODE((server.data_dir / name).stat().st_mode)
            assert mode == 0o600, name
        password = (server.data_dir / "demo-password").read_text().strip()
        assert password in server.log


async def test_the_console_lines_work(server):
    server.start()

    async with server.connect("/ws/chat/", "ana") as socket:
        await socket.send(json.dumps({"message": "hola"}))
        frame = await hear(socket, "message")

    assert (frame["message"], frame["user"], frame["room"]) == ("hola", "ana", "lobby")
    assert frame["seq"] == 1


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example"])
async def test_a_foreign_origin_is_refused_and_recorded(server, origin):
    server.start()

    status = await refused_with(server, "/ws/chat/", user="ana", origin=origin)

    assert status == 403
    sql = "select username, detail, close_code from monitor_connection"
    assert await until(lambda: server.rows(sql)) == [("ana", "foreign origin", 403)]


async def test_unknown_paths_and_dashboards_without_the_right_are_refused(server):
    server.start()

    assert await refused_with(server, "/ws/nowhere/", user="ana") == 403
    assert await refused_with(server, "/ws/monitor/", user="ana") == 403
    assert await refused_with(server, "/ws/monitor/", user="sam") == 403
    assert await refused_with(server, "/ws/monitor/") == 403

    sql = "select detail from monitor_connection where cause = 'reject'"
    await until(lambda: len(server.rows(sql)) == 4)
    assert {row[0] for row in server.rows(sql)} == {
        "unknown path",
        "no right to view connections",
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_says_goodbye_stores_and_ends_in_time(server, number):
    server.start()
    async with server.connect("/ws/chat/", "ana") as socket:
        await socket.send(json.dumps({"message": "hola"}))
        await hear(socket, "message")

        server.process.send_signal(number)
        bye = await hear(socket, "bye")
        await socket.wait_closed()

    assert bye == {"type": "bye", "code": 4012, "reason": "The server restarts."}
    assert socket.close_code == 4012
    assert await asyncio.to_thread(server.process.wait, 10) == 0
    assert "everything is stored" in server.log
    sql = "select cause, close_code, messages_in from monitor_connection"
    assert server.rows(sql) == [("server", 4012, 1)]
    assert list((server.data_dir / "monitor-journal").iterdir()) == []


def test_a_signal_while_a_crowd_comes_in_says_goodbye_to_all_who_are_in(server):
    limits = ("CHAT_MAX_CONNECTIONS", "CHAT_MAX_CONNECTIONS_OF_ADDRESS")
    server.environment |= dict.fromkeys(limits, str(CROWD))
    server.start()
    headers = {"cookie": server.cookie("ana"), "origin": server.url, "wait": False}
    # All are there before the first has its turn.
    server.process.send_signal(signal.SIGSTOP)
    crowd = [Client(server.port, "/ws/chat/", **headers) for _ in range(CROWD)]
    server.process.send_signal(signal.SIGCONT)
    answered, _, _ = select.select([client.socket for client in crowd], [], [], 10)
    assert 0 < len(answered) < CROWD

    server.process.send_signal(signal.SIGTERM)
    ends = Counter()
    for client in crowd:
        status, last = client.read_status(), client.end()
        ends[status, last.code if last else None] += 1

    assert ends[SWITCHING_PROTOCOLS, 4012]
    refused = {(None, None), (FORBIDDEN, None)}
    assert set(ends) - refused == {(SWITCHING_PROTOCOLS, 4012)}
    assert server.process.wait(10) == 0
    assert "everything is stored" in server.log
    assert "Traceback" not in server.log
    recorded = server.rows("select cause, close_code from monitor_connection")
    assert Counter(recorded) == {("server", 4012): CROWD - ends[None, None]}


async def test_it_ends_in_time_although_a_client_does_not_read(server):
    server.start()
    async with server.connect("/ws/chat/", "ana", close_timeout=0.1) as deaf:
        deaf.transport.pause_reading()
        started_at = time.monotonic()

        code = await asyncio.to_thread(server.stop)
        took = time.monotonic() - started_at

    assert code == 0
    assert took < 10


async def test_a_kill_loses_nothing_and_leaves_nothing_live(server):
    server.environment["CHAT_RATE"] = "1000"
    server.start()
    async with server.connect("/ws/chat/", "ana") as socket:
        for number in range(100):
            await socket.send(json.dumps({"message": f"number {number}"}))
        heard = [(await hear(socket, "message"))["message"] for _ in range(100)]
        server.kill()

    server.start()

    texts = server.rows("select text from monitor_event where kind = 'receive'")
    assert sorted(json.loads(text)["message"] for (text,) in texts) == sorted(heard)
    ends = "select cause from monitor_connection where username = 'ana'"
    assert server.rows(ends) == [("process",)]
    live = "select count(*) from monitor_connection where closed_at is null"
    assert server.rows(live) == [(0,)]
    assert "Took over from 1 process" in server.log


async def test_a_restart_ends_everything_that_began(server):
    server.start()
    async with server.connect("/ws/chat/", "ana"), server.connect("/ws/chat/", "bruno"):
        await refused_with(server, "/ws/nowhere/")
        await asyncio.to_thread(server.stop)

    begins, ends = (
        server.rows(
            f"select connection_id, count(*) from monitor_event where kind in "
            f"({', '.join('?' * len(kinds))}) group by connection_id order by 1",
            *kinds,
        )
        for kinds in (("connect",), ENDS)
    )
    assert len(begins) == 3
    assert begins == ends
    assert {count for _, count in ends} == {1}


def test_it_may_open_as_many_sockets_as_the_system_allows(daphne):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        daphne.spawn()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    daphne.ready()

    limits = resource.prlimit(daphne.process.pid, resource.RLIMIT_NOFILE)
    assert limits == (hard, hard)


def test_a_second_server_on_the_same_data_is_refused(daphne):
    daphne.start()

    second = Server(daphne.data_dir).spawn()

    assert second.process.wait(20) != 0
    assert f"Another server (PID {daphne.process.pid}) runs on" in second.log


def test_a_taken_port_is_named(daphne, tmp_path):
    daphne.start()

    other = Server(tmp_path / "other", PORT=str(daphne.port)).spawn()

    assert other.process.wait(20) != 0
    assert f"Cannot listen on 127.0.0.1:{daphne.port}" in other.log


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "my.example"])
def test_a_host_that_others_can_reach_needs_a_secret_and_names(tmp_path, host):
    with Server(tmp_path / "data", HOST=host).spawn() as server:
        assert server.process.wait(20) != 0

    assert "so set SECRET_KEY and ALLOWED_HOSTS first" in server.log
    assert server.log.count("\n") == 1


def test_with_both_it_starts_on_every_address(tmp_path):
    server = Server(
        tmp_path / "data",
        HOST="0.0.0.0",
        SECRET_KEY="a-secret-for-a-test-that-is-long-enough-to-be-one",
        ALLOWED_HOSTS="127.0.0.1",
    )
    with server:
        assert server.get("/login/").status == 200
        assert not (server.data_dir / "secret-key").exists()


@pytest.mark.parametrize(
    ("variable", "value", "answer"),
    [
        ("SERVER", "gunicorn", "SERVER is 'gunicorn'; say daphne or uvicorn."),
        ("PORT", "abc", "PORT is 'abc'; say a number from 0 to 65535."),
        ("PORT", "99999", "PORT is '99999'; say a number from 0 to 65535."),
        ("MONITOR_ENABLED", "maybe", "MONITOR_ENABLED is 'maybe'; say true or false."),
        (
            "CHAT_RATE",
            "fast",
            "CHAT_RATE is 'fast'; say how many messages a second one user may send.",
        ),
        (
            "CHAT_RATE",
            "inf",
            "CHAT_RATE is 'inf'; say how many messages a second one user may send.",
        ),
        (
            "REDIS_URL",
            "foo",
            "REDIS_URL is no address of a Redis server; say one such as "
            "redis://host:6379/0, or nothing for a single process.",
        ),
        (
            "CHAT_MAX_CONNECTIONS",
            "1.5",
            "CHAT_MAX_CONNECTIONS is '1.5'; say how many sockets one user may have "
            "open.",
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(tmp_path, variable, value, answer):
    server = Server(tmp_path / "data")
    server.environment[variable] = value
    with server.spawn():
        assert server.process.wait(20) != 0

    assert server.log == f"Not started: {answer}\n"


async def test_switched_off_the_chat_works_and_nothing_is_recorded(server):
    server.environment["MONITOR_ENABLED"] = "false"
    server.start()

    async with (
        server.connect("/ws/chat/", "ana") as ana,
        server.connect("/ws/chat/", "bruno") as bruno,
    ):
        await ana.send(json.dumps({"message": "hola"}))
        heard = await hear(bruno, "message")
        await bruno.send(json.dumps({"type": "whoami"}))
        scope = (await hear(bruno, "whoami"))["scope"]

    assert heard["message"] == "hola"
    assert scope["user"]["username"] == "bruno"
    assert scope["session"]["began_at"]
    assert scope["session"]["expires_at"]
    assert server.rows("select count(*) from monitor_event") == [(0,)]


async def test_switched_off_it_says_goodbye_all_the_same(server):
    server.environment["MONITOR_ENABLED"] = "false"
    server.start()

    async with server.connect("/ws/chat/", "ana") as socket:
        server.process.send_signal(signal.SIGTERM)
        bye = await hear(socket, "bye")
        await socket.wait_closed()

    assert (bye["code"], socket.close_code) == (4012, 4012)
    assert await asyncio.to_thread(server.process.wait, 10) == 0


async def test_the_developers_server_works_too(tmp_path):
    server = Server(tmp_path / "data")
    server.arguments = ["runserver", "--noreload", server.host]
    migrate = Server(server.data_dir, PORT=str(server.port))
    with migrate:
        assert await asyncio.to_thread(migrate.stop) == 0

    with server:
        async with server.connect("/ws/chat/", "ana") as socket:
            await socket.send(json.dumps({"message": "hola"}))
            assert (await hear(socket, "message"))["message"] == "hola"


def test_a_new_demo_password_takes_the_place_of_the_old_one(daphne):
    daphne.environment["DEMO_PASSWORD"] = "an-older-password"
    daphne.start()
    daphne.stop()

    daphne.environment["DEMO_PASSWORD"] = PASSWORD
    daphne.start()

    assert daphne.get("/rooms/", "ana").status == 200
