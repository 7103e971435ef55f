"""Echoes: what recording costs a message, beside what else a project may choose.

python -m tests.bench.echo --rounds 1 --seconds 1.5 --only uvicorn,bare
"""

import time
from dataclasses import dataclass

from . import processes
from .load import TEXT_SIZE, Client, Load, SocketIO, SocketIOAdmin
from .servers import running
from .variants import OURS, chosen, options, socketio_if_installed

ROUNDS = 5
SECONDS = 2.5  # of load that are measured
WARM_UP = 0.5  # seconds of load before
IDLE = 0.3  # seconds without load
CLIENTS = 50


@dataclass
class Echo:
    """What one round of one variant came to."""

    rate: float  # messages a second
    cost: float  # µs of the server's CPU for a message, storing included
    p50: float  # ms
    p99: float  # ms
    sent: int  # messages, the warm-up's included
    stored: int | None  # events of them; None where nothing is stored
    lag: float  # seconds from the last answer until everything was stored
    load: float  # share of its core that the load took
    others: float  # share of the server's core that other processes took


def measure(kind, name, migrated, seconds=SECONDS):
    """Measure one variant on a server of its own."""
    with running(kind, name, migrated) as server:
        load = connect(server)
        warm_up = load.run(WARM_UP)
        sent = CLIENTS + warm_up.messages
        server.wait_for_events(receive=sent)
        idle = idle_share(server)

        cpu, busy = server.measured.cpu(), processes.busy()
        started_at, own_cpu = time.monotonic(), time.process_time()
        outcome = load.run(seconds)
        answered_at, own_cpu = time.monotonic(), time.process_time() - own_cpu
        sent += outcome.messages
        server.wait_for_events(receive=sent)
        stored_at = time.monotonic()
        cpu, busy = server.measured.cpu() - cpu, processes.busy() - busy

        lag = stored_at - answered_at
        if load.listeners:
            # Each message and its echo, at least.
            assert load.heard > 2 * TEXT_SIZE * sent, (
                "the admin page was told too little"
            )
        load.close()
        stored = check(server, sent)
    return Echo(
        rate=outcome.rate,
        cost=(cpu - idle * lag) / outcome.messages * 1e6,
        p50=outcome.percentile(50),
        p99=outcome.percentile(99),
        sent=sent,
        stored=stored,
        lag=lag,
        load=own_cpu / outcome.seconds,
        others=max(0.0, busy - cpu) / (stored_at - started_at),
    )


def connect(server):
    """Open the connections; each exchanges one message."""
    is_socketio = server.name.startswith("socketio")
    client = SocketIO if is_socketio else Client
    listeners = []
    if server.name == "socketio-admin":
        listeners.append(SocketIOAdmin(server.port, 0))
    clients = [client(server.port, number) for number in range(CLIENTS)]
    return Load(clients, listeners)


def idle_share(server):
    """The share of its core that the server needs for nothing."""
    cpu = server.measured.cpu()
    time.sleep(IDLE)
    return (server.measured.cpu() - cpu) / IDLE


def check(server, sent):
    """Every event is stored, once, and the counts are right; how many are stored.

    AssertionError if not.
    """
    if server.table is None:
        return None
    server.wait_for_events(connect=CLIENTS, receive=sent, disconnect=CLIENTS)
    if server.table == "monitor_event":
        server.wait_for(
            "SELECT sum(messages_in), sum(messages_out), count(closed_at) "
            "FROM monitor_connection",
            (sent, sent, CLIENTS),
        )
    receives = f"SELECT count(*) FROM {server.table} WHERE kind = 'receive'"
    return server.row(receives)[0]


def run(rounds=ROUNDS, seconds=SECONDS, only=""):
    """Measure all variants, round by round; a list of `Echo` for each of them."""
    variants = chosen([*OURS, *socketio_if_installed()], only)
    results = {variant: [] for variant in variants}
    with processes.pinned(), processes.migrated_data() as migrated:
        for number in range(1, rounds + 1):
            for kind, name in variants:
                echo = measure(kind, name, migrated, seconds)
                results[kind, name].append(echo)
                tell(number, kind, name, echo)
    return results


def tell(number, kind, name, echo):
    """Print one measurement."""
    stored = "" if echo.stored is None else f"{echo.stored} stored"
    print(
        f"round {number}  {kind:<8}{name:<15}{echo.rate:>7.0f} msg/s "
        f"{echo.cost:>6.1f} µs  p50 {echo.p50:.2f} p99 {echo.p99:.2f} ms  "
        f"{echo.sent} sent {stored:<14} lag {echo.lag:.2f} s  "
        f"load {echo.load:.0%}  others {echo.others:.0%}",
        flush=True,
    )


def main():
    """Measure what the command line says."""
    given = options(__doc__, rounds=ROUNDS, seconds=SECONDS)
    run(given.rounds, given.seconds, given.only)


if __name__ == "__main__":
    main()
