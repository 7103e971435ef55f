"""`manage.py demo`: what it fills an installation with, and the people it runs."""

import asyncio
import shutil
import signal
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from random import Random

import pytest
from django.core.management import CommandError, call_command

from project.simulation.backoff import pause
from project.simulation.people import FEWEST
from project.simulation.repertoire import places

from ..clock import until
from ..server import ROOT, Server, free_port
from .test_up import hear

CLOSED = "SELECT cause, close_code FROM monitor_connection WHERE username <> 'ana'"
LIVE = "SELECT count(DISTINCT username) FROM monitor_connection WHERE closed_at IS NULL"
SESSIONS = "SELECT count(*) FROM django_session"
MESSAGES = "SELECT * FROM chat_message ORDER BY id"
PEOPLE = (
    "SELECT u.username, u.password, u.is_staff FROM auth_user u "
    "JOIN auth_user_groups m ON m.user_id = u.id "
    "JOIN auth_group g ON g.id = m.group_id WHERE g.name = 'Demo people'"
)


def demo(server, *arguments, **options):
    """Start the command on a server's data."""
    return subprocess.Popen(
        [sys.executable, "manage.py", "demo", *arguments],
        cwd=ROOT,
        env=server.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def said_by(server, *arguments):
    """What the command says, and its exit code, when it ends by itself."""
    process = demo(server, *arguments)
    said, _ = process.communicate(timeout=60)
    return said, process.returncode


@contextmanager
def traffic(server, *arguments):
    """Simulated people on a running server; ended by whoever has begun it."""
    process = demo(server, *arguments)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@asynccontextmanager
async def in_every_room(server):
    """Have ana in all rooms; yields a function that returns the next frame of a kind
    in any of them."""
    said_by(server, "--no-traffic")  # makes the rooms
    async with AsyncExitStack() as stack:
        slugs = [slug for slug, place in places().items() if place.kind == "open"]
        paths = [f"/ws/chat/{slug}/" for slug in slugs]
        joining = [server.connect(path, "ana") for path in paths]
        sockets = [await stack.enter_async_context(one) for one in joining]

        async def hear_anywhere(kind):
            tasks = [asyncio.create_task(hear(socket, kind)) for socket in sockets]
            first = asyncio.FIRST_COMPLETED
            done, others = await asyncio.wait(tasks, return_when=first)
            for task in others:
                task.cancel()
            return done.pop().result()

        yield hear_anywhere


def test_it_fills_the_rooms_once_and_without_gaps(daphne):
    said, code = said_by(daphne, "--no-traffic")
    assert code == 0, said
    messages = daphne.rows(MESSAGES)
    rooms = daphne.rows(
        "SELECT r.slug, r.last_seq, r.last_rev, count(*), max(m.rev), "
        "count(edited_at) + count(deleted_at) "
        "FROM chat_message m JOIN chat_room r ON r.id = m.room_id GROUP BY r.id"
    )
    in_order = "SELECT room_id, seq, sent_at FROM chat_message ORDER BY room_id, seq"
    in_order = daphne.rows(in_order)

    assert len(messages) > 300
    assert len(rooms) == len(places())
    kinds = daphne.rows("SELECT kind, count(*) FROM chat_room GROUP BY kind")
    assert kinds == [("direct", 1), ("open", 6), ("private", 1)]
    unread = (
        "SELECT sum(r.last_seq - m.read_seq) FROM chat_membership m "
        "JOIN chat_room r ON r.id = m.room_id JOIN auth_user u ON u.id = m.user_id "
        "WHERE u.username = 'ana'"
    )
    assert daphne.rows(unread)[0][0] > 0
    for slug, last_seq, last_rev, count, rev, changes in rooms:
        assert (last_seq, last_rev) == (count, count + changes), slug
        assert rev <= last_rev
    for change in ("edited_at", "deleted_at"):
        changed = f"SELECT count(*) FROM chat_message WHERE {change} IS NOT NULL"
        assert daphne.rows(changed)[0][0], change
    assert in_order == sorted(in_order, key=lambda row: (row[0], row[2]))
    days = "SELECT count(DISTINCT substr(sent_at, 1, 10)) FROM chat_message"
    assert daphne.rows(days)[0][0] >= 4
    future = "SELECT count(*) FROM chat_message WHERE sent_at > datetime('now')"
    assert daphne.rows(future) == [(0,)]

    assert said_by(daphne, "--no-traffic") == (
        "Nothing to fill: all rooms have messages already.\n",
        0,
    )
    assert daphne.rows(MESSAGES) == messages


def test_nobody_can_log_in_as_one_of_its_people(daphne):
    said_by(daphne, "--no-traffic")

    accounts = daphne.rows(PEOPLE)

    assert len(accounts) == 12
    assert not {"ana", "bruno"} & {name for name, *_ in accounts}
    for _, password, is_staff in accounts:
        assert password.startswith("!")  # unusable, as Django marks it
        assert not is_staff


async def test_its_people_are_seen_and_heard_until_sigterm(daphne):
    daphne.start()
    async with in_every_room(daphne) as hear_anywhere:
        with traffic(daphne, "--people", "8", "--rate", "8") as process:
            typing = await hear_anywhere("typing")
            message = await hear_anywhere("message")
            await until(lambda: daphne.rows(LIVE)[0][0] == 1 + 8)

            process.send_signal(signal.SIGTERM)
            said, _ = await asyncio.to_thread(process.communicate, timeout=10)

        assert process.returncode == 0, said
        assert "Traceback" not in said
        await until(lambda: daphne.rows(LIVE) == [(1,)])
    names = {name for name, *_ in daphne.rows(PEOPLE)}
    assert {typing["user"], message["user"]} <= names
    assert {cause for cause, _ in daphne.rows(CLOSED)} == {"client"}
    assert daphne.rows(SESSIONS) == [(1,)]  # ana's


async def test_somebody_who_is_called_answers(daphne):
    daphne.start()
    with traffic(daphne, "--people", "4", "--rate", "0.01"):
        rooms = "SELECT path FROM monitor_connection WHERE path LIKE '/ws/chat/_%/'"
        [room] = (await until(lambda: daphne.rows(rooms)))[0]
        async with daphne.connect(room, "ana") as ana:

            async def answer():
                """Who answers; asked again if whoever heard it has just gone away."""
                await ana.send('{"message": "hola @lucia"}')
                with suppress(TimeoutError):
                    while (frame := await hear(ana, "message"))["user"] == "ana":
                        pass
                    return frame["user"]

            assert await until(answer, within=60) == "lucia"


async def test_its_people_come_back_to_a_server_that_restarts(daphne):
    daphne.start()
    with traffic(daphne, "--people", "4", "--rate", "5") as process:
        await until(lambda: daphne.rows(LIVE)[0][0] > 1)
        await asyncio.to_thread(daphne.stop)
        assert daphne.rows(LIVE) == [(0,)]
        before = len(daphne.rows(MESSAGES))

        await asyncio.to_thread(daphne.start)

        await until(lambda: daphne.rows(LIVE)[0][0] > 1)
        await until(lambda: len(daphne.rows(MESSAGES)) > before)
        assert process.poll() is None


def test_after_the_minutes_it_ends_by_itself(daphne):
    daphne.start()

    said, code = said_by(daphne, "--people", "4", "--minutes", "0.02")

    assert code == 0
    assert f"4 people talk at {daphne.url}/" in said
    assert "They are gone" in said


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["--rate", "much"], "--rate: it is 'much'; say a number above 0."),
        (["--rate", "0"], "--rate: it is '0'; say a number above 0."),
        (["--people", "3"], "--people: it is '3'; say a number from 4 to 48."),
        (["--minutes", "nan"], "--minutes: it is 'nan'; say a number above 0."),
        (["--url", "here"], "--url: it is 'here'; say an address such as"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(arguments, answer):
    with pytest.raises(CommandError) as refused:
        call_command("demo", *arguments)

    assert answer in str(refused.value)


def test_a_rate_that_the_people_cannot_keep_is_told(daphne):
    said, code = said_by(daphne, "--rate", "99")

    assert code != 0
    assert "--rate 99 is too much: with CHAT_RATE=5, 12 people in 6" in said
    assert "Traceback" not in said


def test_a_server_that_is_not_there_is_named(daphne):
    nowhere = f"http://127.0.0.1:{free_port()}"

    said, code = said_by(daphne, "--url", nowhere)

    assert code != 0
    assert f"No server at {nowhere}; start it with `make run`" in said
    assert daphne.rows(SESSIONS) == [(0,)]


def test_a_server_on_other_data_is_told_apart(daphne, migrated, tmp_path):
    with Server(shutil.copytree(migrated, tmp_path / "other")) as other:
        said, code = said_by(daphne, "--url", other.url)

    assert code != 0
    assert f"{other.url} does not know the people of this database" in said


def test_before_the_first_start_it_says_what_to_do(tmp_path):
    server = Server(tmp_path / "data")
    server.data_dir.mkdir()

    said, code = said_by(server, "--no-traffic")

    assert code != 0
    assert "This installation is not ready; start it once with `make run`" in said


async def test_the_server_brings_it_along_and_sends_it_away(server):
    server.environment["DEMO"] = "1"
    server.start()
    assert "Demo: simulated people talk until the server stops." in server.log
    await until(lambda: server.rows(LIVE)[0][0] > 6)

    assert await asyncio.to_thread(server.stop) == 0

    assert "Traceback" not in server.log
    assert {cause for cause, _ in server.rows(CLOSED)} == {"client"}
    assert server.rows(SESSIONS) == [(0,)]


async def test_it_does_not_outlive_a_server_that_is_killed(daphne):
    daphne.environment["DEMO"] = "1"
    daphne.start()
    await until(lambda: daphne.rows(LIVE)[0][0] > 1)

    daphne.kill()

    await until(lambda: daphne.rows(SESSIONS) == [(0,)])


def test_its_people_come_back_as_the_protocol_says():
    random = Random(1)

    assert 0 <= pause(4012, None, 0, random) <= 2
    assert pause(4403, None, 0, random) is None
    assert 60 <= pause(4429, 60, 0, random) <= 62
    waits = [pause(code, None, 2, random) for code in (None, 1006, 4500)]
    assert all(2 <= wait <= 4 for wait in waits)
    assert pause(4500, None, 9, random) <= 10


@pytest.mark.parametrize("place", places().values(), ids=places())
def test_every_dialogue_can_be_played(place):
    for dialogue in place.dialogues:
        assert 2 <= len(dialogue.roles) <= FEWEST
        spoken = set()
        for line in dialogue.lines:
            if line.kind == ":":
                assert 0 < len(line.text) <= 4000
                spoken.add(line.role)
            assert line.role in spoken, "edits what was never said"


async def test_sigterm_ends_it_also_while_there_is_no_server(daphne):
    daphne.start()
    with traffic(daphne, "--people", "4") as process:
        await until(lambda: daphne.rows(LIVE)[0][0] > 1)
        await asyncio.to_thread(daphne.stop)

        process.send_signal(signal.SIGTERM)
        said, _ = await asyncio.to_thread(process.communicate, timeout=10)

    assert process.returncode == 0, said
    assert "Traceback" not in said
