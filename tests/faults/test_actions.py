"""What staff ask in one process reaches the connections of another one."""

import json
import signal
from urllib.parse import urlencode

import pytest

from ..rfc6455 import CLOSE, Client
from ..server import Server
from .conftest import all_back, all_started
from .server import eventually

ASK, BLOCKS = "/admin/monitor/live/ask/", "/admin/monitor/block/"
OPEN = """
    select count(*) from monitor_connection where closed_at is null and username = ?
"""
ANSWERED_WITHIN = 10.0  # seconds; without an answer for five, that is the answer


@pytest.fixture(scope="module")
def both(tmp_path_factory, outgrown):
    """Two processes of the site."""
    data = tmp_path_factory.mktemp("actions") / "data"
    staffs = Server(data, SERVER="daphne", **outgrown)
    with all_started(staffs, Server(data, SERVER="uvicorn", **outgrown)) as both:
        yield both


@pytest.fixture
def pair(both):
    """The same: staff are on the first, users on the second."""
    return all_back(both)


@pytest.fixture
def join(pair):
    """Have a user enter the lobby on the second process."""
    clients = []

    def join(user="bruno", server=pair[1], path="/ws/chat/", **options):
        headers = {"cookie": server.cookie(user), "origin": server.url}
        client = Client(server.port, path, **options, **headers)
        assert client.status == 101
        clients.append(client)
        return client

    yield join
    for client in clients:
        client.drop()


def connection_of(server, user):
    """The id of a user's one live connection, once it is recorded."""
    sql = "select id from monitor_connection where closed_at is null and username = ?"
    [(key,)] = eventually(lambda: _one(server.rows(sql, user)))
    return key


def _one(found):
    return found if len(found) == 1 else None


def ask(server, kind, *connections, **target):
    """Ask as olga, of some connections or of all that a target names; return a function
    that tells the results."""
    target = target or {"connection": list(connections)}
    page = f"{ASK}?{urlencode(target, doseq=True)}"
    fields = {"asked": "yes", "kind": kind, "reason": "a test", "seconds": "3600"}
    response = server.post(ASK, "olga", page, **fields, **target)
    assert response.status == 302, response.text
    order = response.headers["Location"].rstrip("/").rpartition("/")[2]
    sql = 'select result, detail from monitor_action where "order" = ?'
    return lambda: server.rows(sql, order)


def answers(results, wanted):
    """Wait until all results are the wanted one."""
    eventually(lambda: {result for result, _ in results()} == {wanted}, ANSWERED_WITHIN)


def hear(client, kind):
    """The next frame of a kind; a connection that is being closed says `bye`."""
    while frame := client.receive():
        assert frame.opcode != CLOSE
        if (content := json.loads(frame.text))["type"] == kind:
            return content
    raise AssertionError("it ended without a word")


def is_let_in(client):
    """Whether a client gets to hear what is said."""
    return json.loads(client.receive().text)["type"] == "history"


def lift_all(server):
    """Lift all blocks, as olga does in their list."""
    blocks = [key for (key,) in server.rows("select id from monitor_block")]
    chosen = {"action": "lift_chosen", "_selected_action": blocks}
    assert server.post(BLOCKS, "olga", **chosen).status == 302


def test_a_disconnect_reaches_the_process_that_holds_the_connection(pair, join):
    staffs, _ = pair
    bruno = join()

    results = ask(staffs, "disconnect", connection_of(staffs, "bruno"))

    assert hear(bruno, "bye")["code"] == 4403
    answers(results, "done")


@pytest.mark.parametrize("target", [{"user": "bruno"}, {"path": "/ws/chat/*"}])
def test_all_of_a_user_or_a_path_are_reached_wherever_they_are(pair, join, target):
    clients = [join(server=server) for server in pair]
    eventually(lambda: pair[0].rows(OPEN, "bruno") == [(2,)])

    results = ask(pair[0], "disconnect", **target)

    assert [hear(client, "bye")["code"] for client in clients] == [4403, 4403]
    answers(results, "done")
    assert len(results()) == 2


def test_a_notice_reaches_all_in_a_room_and_nobody_else(pair, join):
    assert pair[0].post("/rooms/", "ana", name="Design").status == 302
    inside = [join(server=server, path="/ws/chat/design/") for server in pair]
    outside = join("ana")
    connection_of(pair[0], "ana")
    eventually(lambda: pair[0].rows(OPEN, "bruno") == [(2,)])

    results = ask(pair[0], "notice", path="/ws/chat/design/")

    assert [hear(client, "notice")["text"] for client in inside] == ["a test"] * 2
    answers(results, "done")
    assert len(results()) == 2
    outside.send('{"type": "whoami"}')
    kinds = set()
    while "whoami" not in kinds:
        kinds.add(json.loads(outside.receive().text)["type"])
    assert "notice" not in kinds


def test_a_logout_ends_the_session_that_only_the_other_process_knows(pair, join):
    staffs, users = pair
    bruno = join()
    assert users.get("/rooms/", "bruno").status == 200

    results = ask(staffs, "log_out", connection_of(staffs, "bruno"))

    assert hear(bruno, "bye")["code"] == 4401
    answers(results, "done")
    assert users.get("/rooms/", "bruno").status == 302
    del users.cookies["bruno"]


def test_a_stopped_process_gives_no_answer_and_does_it_when_it_is_back(pair, join):
    staffs, users = pair
    bruno = join()
    key = connection_of(staffs, "bruno")
    users.process.send_signal(signal.SIGSTOP)
    try:
        results = ask(staffs, "disconnect", key)
        answers(results, "no_answer")
    finally:
        users.process.send_signal(signal.SIGCONT)

    assert hear(bruno, "bye")["code"] == 4403
    answers(results, "done")


def test_a_killed_process_has_nothing_left_to_disconnect(pair, join):
    staffs, users = pair
    join()
    key = connection_of(staffs, "bruno")
    users.kill()

    results = ask(staffs, "disconnect", key)

    answers(results, "gone")


def test_a_client_that_reads_nothing_is_closed_all_the_same(pair, join):
    staffs, users = pair
    deaf, ana = join(buffer=4096), join("ana")
    for _ in range(40):
        ana.send(json.dumps({"message": "x" * 4000}))

    key = connection_of(staffs, "bruno")
    results = ask(staffs, "disconnect", key)

    answers(results, "done")
    sql = "select cause from monitor_connection where id = ?"
    eventually(lambda: staffs.rows(sql, key) == [("staff",)])
    deaf.drop()


def test_a_blocked_user_is_turned_away_by_every_process(pair, join):
    staffs, users = pair
    bruno = join(timeout=30)
    connection_of(staffs, "bruno")
    fields = {"kind": "user", "value": "bruno", "seconds": "3600", "reason": "a test"}
    assert staffs.post(f"{BLOCKS}add/", "olga", **fields).status == 302

    assert hear(bruno, "bye")["reason"].startswith("Blocked for another")

    for server in pair:
        farewell = hear(join(server=server), "bye")
        assert farewell["code"] == 4403
        assert farewell["reason"] == "Blocked for another 60 min: a test"
    join("ana")
    lift_all(staffs)
    for server in pair:
        eventually(lambda server=server: is_let_in(join(server=server)))


def test_a_blocked_network_is_turned_away_by_every_process(pair, join):
    clients = [join("vera", server) for server in pair]
    eventually(lambda: pair[0].rows(OPEN, "vera") == [(2,)])

    results = ask(pair[0], "block", client="127.0.0.0/8")

    assert {hear(client, "bye")["code"] for client in clients} == {4403}
    answers(results, "done")
    for server in pair:
        farewell = hear(join("vera", server), "bye")
        assert farewell["reason"] == "Blocked for another 60 min: a test"
    lift_all(pair[0])
    for server in pair:
        eventually(lambda server=server: is_let_in(join("vera", server)))


def test_a_drain_from_the_dashboard_stops_a_process_gently(pair, join):
    staffs, users = pair
    ana = join("ana")
    connection_of(staffs, "ana")
    [(process,)] = staffs.rows(
        "select id from monitor_process where pid = ?", users.process.pid
    )
    fields = {"asked": "yes", "kind": "drain", "reason": "an update"}
    page = f"{ASK}?process={process}"

    assert staffs.post(ASK, "olga", page, process=process, **fields).status == 302

    assert hear(ana, "bye")["code"] == 4012
    assert users.process.wait(15) == 0
    sql = "select result from monitor_action where kind = 'drain'"
    assert staffs.rows(sql) == [("done",)]
