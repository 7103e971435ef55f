"""A crowd that comes at once must not keep those waiting who are there."""

import asyncio
import gc
import weakref
from itertools import groupby

import pytest

from project.servers import garbage
from project.servers.arrivals import A_ROUND, Arrivals

from ..clock import until

ALWAYS, NEVER = float("inf"), 0.0  # of a core, below which it is calm


class Newcomer:
    """Somebody who waits at the door."""

    def __init__(self, enter, turn_away=None):
        self.enter, self.turn_away = enter, turn_away


async def test_newcomers_enter_a_few_at_a_time_and_others_in_between():
    happened, arrivals = [], Arrivals()
    for number in range(5 * A_ROUND):
        arrivals.add(Newcomer(lambda number=number: happened.append(number)))

    while arrivals.waiting:
        await asyncio.sleep(0)
        happened.append("another")

    runs = [list(run) for _, run in groupby(happened, "another".__eq__)]
    runs = [run for run in runs if run[0] != "another"]
    assert sum(runs, []) == list(range(5 * A_ROUND))
    assert [len(run) for run in runs] == [A_ROUND] * 5


async def test_whoever_comes_while_another_enters_has_a_turn_too():
    entered, arrivals = [], Arrivals()
    second = Newcomer(lambda: entered.append("the second"))
    arrivals.add(Newcomer(lambda: arrivals.add(second)))

    await until(lambda: entered)

    assert not arrivals.waiting


async def test_one_that_cannot_enter_is_let_go_and_keeps_nobody_out(caplog):
    entered, away, arrivals = [], [], Arrivals()
    arrivals.add(Newcomer(lambda: 1 / 0, lambda: away.append("the first")))
    arrivals.add(Newcomer(lambda: entered.append("the second")))

    await until(lambda: entered)

    assert away == ["the first"]
    assert not arrivals.waiting
    assert [record.getMessage() for record in caplog.records] == ["A handshake failed"]


async def test_once_the_door_is_closed_nobody_enters():
    happened, arrivals = [], Arrivals()

    def newcomer(number):
        entered, away = (f"{number} {what}" for what in ("entered", "turned away"))
        return Newcomer(lambda: happened.append(entered), lambda: happened.append(away))

    for number in range(A_ROUND + 1):
        arrivals.add(newcomer(number))
    await asyncio.sleep(0)
    arrivals.close()
    arrivals.add(newcomer("late"))
    for _ in range(3):
        await asyncio.sleep(0)

    entered = [f"{number} entered" for number in range(A_ROUND)]
    assert happened == [*entered, f"{A_ROUND} turned away", "late turned away"]


class Node:
    """Garbage, once nobody else holds it: it refers to itself."""

    def __init__(self):
        self.itself = self


@pytest.fixture
def often(monkeypatch):
    """Look often, and leave the collector of this process as it was."""
    threshold = gc.get_threshold()
    monkeypatch.setattr(garbage, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(garbage, "WORTH_IT", 0)
    monkeypatch.setattr(garbage, "CALM", ALWAYS)
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


async def five_looks(collector):
    """Wait until it has looked five times."""
    for _ in range(5):
        looked_at = collector.looked_at
        await until(lambda looked_at=looked_at: collector.looked_at > looked_at)


async def test_old_garbage_is_collected_at_a_calm_moment(often):
    garbage.Collector(asyncio.get_running_loop())
    node = weakref.ref(Node())
    gc.collect(1)  # it is old now: only a full collection finds it

    await until(lambda: node() is None)

    # Python itself would not begin one.
    assert gc.get_threshold()[2] == garbage.NEVER


async def test_a_calm_moment_is_waited_for_but_not_too_long(often, monkeypatch):
    monkeypatch.setattr(garbage, "CALM", NEVER)
    collector = garbage.Collector(asyncio.get_running_loop())
    began_at = collector.collected_at

    await five_looks(collector)
    assert collector.collected_at == began_at

    monkeypatch.setattr(garbage, "PATIENCE", 0.0)
    await until(lambda: collector.collected_at > began_at)


async def test_full_collections_rest_in_proportion_to_what_they_cost(
    often, monkeypatch
):
    monkeypatch.setattr(garbage, "REST", 10**9)
    monkeypatch.setattr(garbage, "LONGEST_REST", 10**9)
    collector = garbage.Collector(asyncio.get_running_loop())

    await until(lambda: collector.took)
    collected_at = collector.collected_at
    await five_looks(collector)

    assert collector.collected_at == collected_at


async def test_with_much_to_look_at_the_rest_is_no_longer_than_usual(
    often, monkeypatch
):
    monkeypatch.setattr(garbage, "LONGEST_REST", 10**9)
    collector = garbage.Collector(asyncio.get_running_loop())
    collector.times = 10**9

    await until(lambda: collector.took)
    collected_at = collector.collected_at
    await five_looks(collector)
    assert collector.collected_at == collected_at

    monkeypatch.setattr(garbage, "MUCH", 0)
    await until(lambda: collector.collected_at > collected_at)


@pytest.mark.parametrize(("little", "times"), [(0, 1), (10**9, 16)])
async def test_the_less_they_find_the_longer_they_rest(
    often, monkeypatch, little, times
):
    monkeypatch.setattr(garbage, "LITTLE", little)
    collector = garbage.Collector(asyncio.get_running_loop())

    for _ in range(6):
        collector._collect()

    assert collector.times == times * garbage.REST


async def test_nothing_is_collected_where_nothing_has_happened(often, monkeypatch):
    monkeypatch.setattr(garbage, "WORTH_IT", garbage.NEVER)
    collector = garbage.Collector(asyncio.get_running_loop())
    began_at = collector.collected_at

    await five_looks(collector)

    assert collector.collected_at == began_at
