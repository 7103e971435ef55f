"""What must hold after any chaos, as soon as all is calm.

The database is asked from outside of the product, and the kernel is asked what
processes hold open.
"""

import os
import time
from pathlib import Path
from typing import NamedTuple

CALM_WITHIN = 30.0  # seconds
ESTABLISHED = "01"  # in /proc/net/tcp

# Each of these finds nothing. An end is whatever ends a connection for its client;
# a process that was lost has no more to say of those that it held.
NEVER = {
    "a connection that has not begun exactly once": """
        select connection.id, count(event.id) from monitor_connection connection
        left join monitor_event event
            on event.connection_id = connection.id and event.kind = 'connect'
        group by connection.id having count(event.id) <> 1
    """,
    "a connection that is closed without an end, or has one and is not": """
        select connection.id, cause, closed_at, count(event.id)
        from monitor_connection connection left join monitor_event event
            on event.connection_id = connection.id
            and event.kind in ('disconnect', 'reject', 'error')
        group by connection.id, cause, closed_at
        having count(event.id) <>
            case when closed_at is null or cause = 'process' then 0 else 1 end
    """,
    "an event of a connection behind its end": """
        select connection.id, cause, closed_at, kind, at
        from monitor_connection connection
        join monitor_event event on event.connection_id = connection.id
        where at > closed_at and kind <> 'error'
    """,
    "an open connection of a process that has ended": """
        select connection.id, process.name, process.lost
        from monitor_connection connection
        join monitor_process process on process.id = connection.process_id
        where connection.closed_at is null and process.stopped_at is not null
    """,
    "an event without its connection": """
        select event.id from monitor_event event left join monitor_connection connection
        on connection.id = event.connection_id where connection.id is null
    """,
    "a process with an event that is twice": """
        select process_id, seq, count(*) from monitor_event event
        join monitor_connection connection on connection.id = event.connection_id
        group by process_id, seq having count(*) > 1
    """,
    # The last number is stored together with the events, and so are the gaps.
    "a process that lacks an event of which no gap tells": """
        select id, stored_seq, events, lost from (
            select process.id, stored_seq,
                (select count(*) from monitor_event event
                    join monitor_connection connection
                    on connection.id = event.connection_id
                    where process_id = process.id) as events,
                (select coalesce(sum(count), 0) from monitor_gap
                    where process_id = process.id and kind = 'dropped') as lost
            from monitor_process process
        ) counted where stored_seq <> events + lost
    """,
    "a message that is twice": """
        select author_id, text, count(*) from chat_message
        group by author_id, text having count(*) > 1
    """,
    "a room whose messages and changes are not numbered in turn": """
        select room.id, last_seq, last_rev, count(*), max(seq), max(rev)
        from chat_room room join chat_message message on message.room_id = room.id
        group by room.id, last_seq, last_rev
        having count(*) <> last_seq or count(distinct seq) <> last_seq
            or min(seq) <> 1 or max(seq) <> last_seq
            or count(distinct rev) <> last_rev
            or min(rev) <> 1 or max(rev) <> last_rev
    """,
}


def broken(rows):
    """What is found that must never be, and the first rows of it."""
    found = {name: rows(f"{sql} limit 5") for name, sql in NEVER.items()}
    return {name: some for name, some in found.items() if some}


def wait_until_all_hold(rows, within=CALM_WITHIN):
    """Wait until nothing is found that must never be; `rows(sql)` asks the database.

    What was true a moment ago is in a journal and about to be stored.
    """
    deadline = time.monotonic() + within
    while found := broken(rows):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def shown(rows, pid):
    """The ports of the clients that are shown as live on a process."""
    found = rows(
        "select client_port from monitor_connection connection"
        " join monitor_process process on process.id = connection.process_id"
        f" where closed_at is null and stopped_at is null and pid = {pid}"
    )
    return {port for (port,) in found}


def kernels_view(port):
    """The same by the kernel: who is connected to a port of ours. As `ss` does."""
    ports = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if state == ESTABLISHED and int(local.split(":")[1], 16) == port:
            ports.add(int(remote.split(":")[1], 16))
    return ports


def wait_until_the_truth_is_shown(rows, servers, within=CALM_WITHIN):
    """Wait until each process is shown to have the connections that it has."""
    deadline = time.monotonic() + within
    while untrue := {
        server.port: {
            "shown only": sorted(here - there),
            "hidden": sorted(there - here),
        }
        for server in servers
        if (here := shown(rows, server.process.pid))
        != (there := kernels_view(server.port))
    }:
        assert time.monotonic() < deadline, untrue
        time.sleep(0.1)


class Holdings(NamedTuple):
    """What a process holds."""

    files: int  # descriptors
    threads: int
    memory: int  # resident bytes


def holdings(pid):
    """What a process holds, by the kernel."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    memory = int(status["VmRSS"].split()[0]) * 1024
    files = len(os.listdir(f"/proc/{pid}/fd"))
    return Holdings(files, int(status["Threads"]), memory)
