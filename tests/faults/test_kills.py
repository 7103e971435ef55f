"""`kill -9` at any moment: what a client has heard the echo of is kept, once."""

import random
import time
from collections import Counter

from .conftest import LONG, SEED
from .invariants import wait_until_all_hold
from .load import Load

KILLS = 100 if LONG else 3
LONGEST = 0.8  # seconds between a start and the kill
STARTING = 1.5  # seconds, about, that a start takes

RECEIVED = """
    select connection.path, text from monitor_event event
    join monitor_connection connection on connection.id = event.connection_id
    where kind = 'receive'
"""


def test_whatever_was_heard_is_kept_once_through_all_kills(own_server, path):
    print(f"SEED={SEED}")
    chance = random.Random(SEED)
    server = own_server.start()
    heard = []
    for number in range(KILLS):
        with Load(server.port, f"{path}-{number}", rate=0) as load:
            time.sleep(chance.uniform(0, LONGEST))
            server.kill()
        heard += [(load.path, text) for text in load.heard]
        if number % 3 == 0:
            # Also what takes over from the dead may die of it.
            server.spawn()
            time.sleep(chance.uniform(0, STARTING))
            server.kill()
        server.start()

    print(f"{len(heard)} echoes were heard")
    copies = Counter(server.rows(RECEIVED))
    assert heard
    assert [one for one in heard if copies[one] != 1] == []
    assert [one for one, count in copies.items() if count > 1] == []
    wait_until_all_hold(server.rows)
    assert all(one.closed for one in server.connections(f"/echo/{path}-%"))
