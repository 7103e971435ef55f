"""The targets: what recording may cost, and whether it costs no more."""

import operator
import statistics
from dataclasses import dataclass

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
