"""The targets: what recording may cost, and whether it costs no more."""

import operator
import statistics
from dataclasses import dataclass

from .members import percentile
from .rooms import CASES
from .variants import SERVERS


@dataclass
class Target:
    """A bound for the median of some figures, one of each round."""

    name: str
    bound: float
    unit: str
    figures: list[float]
    at_most: bool = False  # or else at least

    @property
    def met(self):
        median = statistics.median(self.figures)
        return median <= self.bound if self.at_most else median >= self.bound


def of_echo(echo):
    """What recording may cost a message. Rounds are compared with themselves."""

    def compare(operation, figure, kind, name, other):
        pairs = zip(echo[kind, name], echo[kind, other], strict=True)
        return [
            operation(getattr(one, figure), getattr(two, figure)) for one, two in pairs
        ]

    for kind, bound in (("uvicorn", 15), ("daphne", 20)):
        yield Target(
            f"{kind}: CPU of recording a message, storing included",
            bound,
            "µs",
            compare(operator.sub, "cost", kind, "recorded-bare", "bare"),
            at_most=True,
        )
    for name, other, bounds in (
        ("recorded-stock", "stock", (0.9, 0.9)),
        ("recorded-bare", "bare", (0.65, 0.8)),
        ("recorded-stock", "stock-acreate", (3, 2.3)),
    ):
        for kind, bound in zip(("uvicorn", "daphne"), bounds, strict=True):
            yield Target(
                f"{kind}: throughput, {name} to {other}",
                bound,
                "×",
                compare(operator.truediv, "rate", kind, name, other),
            )
    for kind in ("uvicorn", "daphne"):
        for name in ("bare", "stock"):
            yield Target(
                f"{kind}: p99 latency, recorded-{name} to {name}",
                1.5,
                "×",
                compare(operator.truediv, "p99", kind, f"recorded-{name}", name),
                at_most=True,
            )


def of_memory(memory):
    """What recording may cost an idle connection."""
    for kind in reversed(SERVERS):
        for name in ("bare", "stock"):
            pairs = zip(
                memory[kind, f"recorded-{name}"], memory[kind, name], strict=True
            )
            yield Target(
                f"{kind}: memory a connection, recorded-{name} over {name}",
                3,
                "kB",
                [one - two for one, two in pairs],
                at_most=True,
            )


def of_drain(drain):
    """How fast what waits must be stored."""
    for name, drains in drain.items():
        yield Target(
            f"{name}: events stored a second after an outage",
            30_000,
            "",
            [one.rate for one in drains],
        )


def of_rooms(rooms):
    """What a message and a delivery may cost. Rounds are compared with themselves."""
    ours = ("chat", "recorded-chat")
    small, large, largest = (case.name for case in CASES)

    def measured(figure, *variant):
        return [getattr(talk, figure) for talk in rooms.get(variant, [])]

    def compare(figure, one, two):
        pairs = zip(measured(figure, *one), measured(figure, *two), strict=True)
        return [first / second for first, second in pairs]

    for kind in reversed(SERVERS):
        for name in ours:
            if not measured("rate", kind, name, small):
                continue
            yield Target(
                f"{kind}: messages/s in {small}, {name} to the tutorial",
                1.5,
                "×",
                compare("rate", (kind, name, small), (kind, "tutorial", small)),
            )
            yield Target(
                f"{kind}: {name}, ack to a lone sender",
                5,
                "ms",
                measured("acknowledged", kind, name, small),
                at_most=True,
            )
            yield Target(
                f"{kind}: {name}, CPU of a delivery in {large}",
                30 if kind == "uvicorn" else 60,
                "µs",
                measured("cost", kind, name, large),
                at_most=True,
            )
            yield Target(
                f"{kind}: CPU of a delivery in {large}, the tutorial to {name}",
                4,
                "×",
                compare("cost", (kind, "tutorial", large), (kind, name, large)),
            )
            yield Target(
                f"{kind}: {name}, CPU of a delivery, {largest} to {large}",
                1.2,
                "×",
                compare("cost", (kind, name, largest), (kind, name, large)),
                at_most=True,
            )


def of_joins(joins):
    """What joining and staying may cost."""
    for kind in reversed(SERVERS):
        for name in ("chat", "recorded-chat"):
            if (kind, name) not in joins:
                continue
            yield Target(
                f"{kind}: {name}, joining",
                20,
                "ms",
                [joined.median for joined in joins[kind, name]],
                at_most=True,
            )
            pairs = zip(joins[kind, name], joins[kind, "tutorial"], strict=True)
            yield Target(
                f"{kind}: memory of a member, {name} to the tutorial",
                1,
                "×",
                [one.memory / two.memory for one, two in pairs],
                at_most=True,
            )


def of_crowd(kind, outcome):
    """What thousands may cost, idle and when they come back."""
    others = percentile(outcome.others, 99)
    for name, bound, unit, figure in (
        ("writes a second at rest", 1, "", outcome.resting.writes),
        ("until all are back", 10, "s", outcome.back_within),
        ("statements for each who comes back", 2, "", outcome.statements),
        ("p99 of others meanwhile", 500, "ms", others),
        ("connections to PostgreSQL", 30, "", outcome.connections),
    ):
        yield Target(f"{kind}: {name}", bound, unit, [figure], at_most=True)


def of_histories(results):
    """What a room of many messages may cost, and how smoothly it scrolls."""
    asked, (frames, before, after, _) = results
    for (database, name), pairs in asked.items():
        if name in ("page", "join"):
            yield Target(
                f"{name} of a long history, {database}",
                100,
                "ms",
                [many for many, _ in pairs],
                at_most=True,
            )
    yield Target(
        "longest frame while scrolling back", 100, "ms", [max(frames)], at_most=True
    )
    for name, one, other in zip(("heap", "nodes"), before, after, strict=True):
        yield Target(
            f"{name} after scrolling back, to before",
            1.5,
            "×",
            [other / one],
            at_most=True,
        )
