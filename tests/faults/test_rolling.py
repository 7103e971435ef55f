"""One process after the other is restarted, and nobody misses a word."""

import asyncio
import functools
import itertools
import random
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..clock import until
from ..server import Server
from .conftest import LONG, SEED, all_started
from .invariants import wait_until_all_hold
from .page import Page

CLIENTS = 1000 if LONG else 120
SOON = 5.0 if LONG else 0.2  # seconds; a user asks 20 times a second, at most
INTERVAL = 0.05  # seconds between two messages
# Nobody has hundreds of pages open; their questions would be refused.
USERS = [f"guest-{number}" for number in range(100 if LONG else 4)]
NEW_USERS = f"""
    insert into auth_user (username, password, first_name, last_name, email,
        is_superuser, is_staff, is_active, date_joined)
    select 'guest-' || number, password, '', '', '', false, false, true, now()
    from auth_user, generate_series(0, {len(USERS) - 1}) number
    where username = 'ana' returning id
"""
RESTARTS = 4012
BACK_WITHIN = 60.0  # seconds
ENDS = """
    select cause, close_code, count(*) from monitor_connection
    where path = '/ws/chat/' group by cause, close_code
"""


@pytest.fixture
def trio(tmp_path, outgrown):
    """Three processes of the site, where the users have logged in."""
    limits = ("CHAT_MAX_CONNECTIONS", "CHAT_MAX_CONNECTIONS_OF_ADDRESS")
    roomy = {**outgrown, **dict.fromkeys(limits, "10000")}
    kinds = ("uvicorn", "daphne", "uvicorn")
    servers = [Server(tmp_path / "data", SERVER=kind, **roomy) for kind in kinds]
    with all_started(*servers):
        servers[0].rows(NEW_USERS)
        with ThreadPoolExecutor(len(servers)) as logins:
            list(logins.map(servers[0].cookie, USERS))
        yield servers


def page_of(number, servers):
    """One of the clients, who start on different processes."""
    user, first = USERS[number % len(USERS)], number % len(servers)
    doors = [
        functools.partial(server.connect, "/ws/chat/", user)
        for server in servers[first:] + servers[:first]
    ]
    return Page(doors, random.Random(f"{SEED} page {number}"), SOON)


async def test_a_rolling_restart_loses_no_client_no_message_and_no_event(trio):
    print(f"SEED={SEED}")
    pages = [page_of(number, trio) for number in range(CLIENTS)]
    tasks = [asyncio.create_task(page.run()) for page in pages]
    await until(lambda: all(page.rev is not None for page in pages), BACK_WITHIN)

    async def talk():
        for number in itertools.count():
            await pages[0].say(f"message {number}")
            await asyncio.sleep(INTERVAL)

    talking = asyncio.create_task(talk())
    restarted = 0
    for server in trio:
        before = [len(page.codes) for page in pages]
        mine = [page for page in pages if page.is_on(server)]
        assert mine
        restarted += len(mine)
        assert await asyncio.to_thread(server.stop, signal.SIGTERM) == 0
        await asyncio.to_thread(server.start)
        await until(lambda: all(page.socket for page in pages), BACK_WITHIN)
        codes = [p.codes[n:] for p, n in zip(pages, before, strict=True)]
        assert [some for some in codes if some] == [[RESTARTS]] * len(mine)

    talking.cancel()
    await until(lambda: not pages[0].unacked, BACK_WITHIN)
    stored = dict(trio[0].rows("select seq, text from chat_message"))
    await until(lambda: all(page.seen == stored for page in pages), BACK_WITHIN)
    assert Counter(stored.values()) == Counter(
        f"message {number}" for number in range(len(pages[0].acked))
    )
    assert not [task for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, talking, return_exceptions=True)

    rows = trio[0].rows
    still_open = "select count(*) from monitor_connection where closed_at is null"
    await until(lambda: rows(still_open) == [(0,)], BACK_WITHIN)
    await asyncio.to_thread(wait_until_all_hold, rows)
    ends = {(cause, code): count for cause, code, count in rows(ENDS)}
    print(f"{len(stored)} messages, {CLIENTS} clients; they ended as {ends}")
    assert ends.pop(("server", RESTARTS)) == restarted
    assert {cause for cause, _ in ends} == {"client"}
    assert sum(ends.values()) == CLIENTS
