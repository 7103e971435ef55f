"""What one viewer's page shows, and what has to be sent to bring it up to date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from types import ModuleType
from typing import Any

from django.template.loader import render_to_string

from . import actions, connections, feed, gaps, processes, totals, traces
from .rows import Cell, Row
from .viewer import Viewer

# Daphne applies its limit for frames to what it sends, too. A row has some 2 kB, and
# at most 10 if its text and path are as long as can be; a cell a tenth of that.
ROWS_AT_ONCE = 10
FRAGMENTS_AT_ONCE = 100

SECTIONS: tuple[ModuleType, ...] = (
    *(totals, gaps, connections, feed, traces, actions, processes),
)


def sections(viewer: Viewer) -> dict[str, list[Row]]:
    """The rows of every section that the viewer may see, by its name."""
    return {
        section.NAME: section.query(viewer)
        for section in SECTIONS
        if viewer.may(section.PERMISSION)
    }


class Board:
    """Remembers what a page has, so that only what changed is sent.

    Messages are for htmx: each top-level element replaces the one with its id, or
    goes where its `hx-swap-oob` says.
    """

    def __init__(self, have: dict[str, list[str]]) -> None:
        """`have`: the ids of the rows on the page, by section; their cells are
        taken to be old."""
        self._shown: dict[str, dict[str, tuple[Cell, ...]]] = {
            name: dict.fromkeys(row_ids, ()) for name, row_ids in have.items()
        }
        self._shown[totals.NAME] = {totals.NAME: ()}  # part of every page

    def update(self, fresh: dict[str, list[Row]]) -> list[str]:
        """Return the messages that turn the page into a fresh one.

        Rows come in messages of their own: an HTML parser that has met a `<span>`
        drops a `<tbody>` that follows it.
        """
        inserted: list[str] = []
        small: list[str] = []
        for name, rows in fresh.items():
            shown = self._shown.get(name, {})
            inserted += _insertions(name, rows, shown)
            small += _deletions(rows, shown)
            small += _changes(rows, shown)
            self._shown[name] = {row.id: row.cells for row in rows}
        return [*inserted, *_joined(small)]


def _joined(fragments: list[str]) -> Iterator[str]:
    """Put small fragments together into messages that no server refuses."""
    for start in range(0, len(fragments), FRAGMENTS_AT_ONCE):
        yield "".join(fragments[start : start + FRAGMENTS_AT_ONCE])


def _insertions(name: str, rows: Iterable[Row], shown: dict[str, Any]) -> Iterator[str]:
    """A message for each run of new rows, to be put behind the row before it."""
    before = ""
    for is_new, run in groupby(rows, key=lambda row: row.id not in shown):
        run_rows = list(run)
        if is_new:
            for start in range(0, len(run_rows), ROWS_AT_ONCE):
                some = run_rows[start : start + ROWS_AT_ONCE]
                place = f"afterend:#{before}" if before else f"afterbegin:#{name}-rows"
                context = {"place": place, "rows": some}
                yield render_to_string("monitor/_insert.html", context)
                before = some[-1].id
        before = run_rows[-1].id


def _deletions(rows: list[Row], shown: dict[str, Any]) -> Iterator[str]:
    kept = {row.id for row in rows}
    for row_id in shown:
        if row_id not in kept:
            yield render_to_string("monitor/_delete.html", {"id": row_id})


def _changes(rows: Iterable[Row], shown: dict[str, tuple[Cell, ...]]) -> Iterator[str]:
    for row in rows:
        if row.id not in shown or row.cells == shown[row.id]:
            continue
        old = set(shown[row.id])
        for cell in row.cells:
            if cell not in old:
                yield render_to_string("monitor/_cell.html", {"row": row, "cell": cell})
