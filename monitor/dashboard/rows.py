"""What a section shows: rows of cells, which can be compared and sent one by one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.utils import timezone

from . import figures


@dataclass(frozen=True)
class Cell:
    """One value on the page; its element's id is the row's and its name."""

    name: str
    text: str = ""
    title: str = ""  # the exact or whole value, on hover
    kind: str = ""  # of class names, such as the kind of an event
    url: str = ""
    since: datetime | None = None  # the browser counts on from here
    until: datetime | None = None  # the browser counts down to this
    value: str = ""  # of a button that sends the section's form
    label: str = ""  # the accessible name of that button
    points: tuple[float, ...] = ()  # of a sparkline, each from 0 to 1

    @property
    def shown(self) -> str:
        """The text; how long since or until then for a time.

        Not kept in the cell, which would then change by itself as time goes by.
        """
        if self.since is not None:
            return figures.duration(timezone.now() - self.since)
        if self.until is not None:
            return figures.duration(self.until - timezone.now())
        return self.text


@dataclass(frozen=True)
class Row:
    """A row with its cells, in the order of the columns."""

    id: str
    cells: tuple[Cell, ...]
    choice: str = ""  # the value of its checkbox; "" for none
    label: str = ""  # the accessible name of the checkbox

    @cached_property
    def cell(self) -> dict[str, Cell]:
        """The cells by name, for templates that lay them out themselves."""
        return {cell.name: cell for cell in self.cells}
