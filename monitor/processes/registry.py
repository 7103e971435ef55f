"""The connections that this process holds open, by id."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator

from monitor.recording.recorder import Recorder


class Registry:
    """Recorders of open connections, and those whose counts are not stored."""

    def __init__(self) -> None:
        self._recorders: dict[str, Recorder] = {}
        self.touched: set[Recorder] = set()

    def __len__(self) -> int:
        return len(self._recorders)

    def __iter__(self) -> Iterator[Recorder]:
        return iter(list(self._recorders.values()))

    def __contains__(self, connection_id: uuid.UUID) -> bool:
        return connection_id.hex in self._recorders

    def add(self, recorder: Recorder) -> None:
        self._recorders[recorder.key] = recorder

    def discard(self, recorder: Recorder) -> None:
        self._recorders.pop(recorder.key, None)

    def get(self, key: str) -> Recorder | None:
        """The recorder of an open connection; None if it is not held here."""
        return self._recorders.get(key)

    def having(self, keys: Iterable[str]) -> list[Recorder]:
        """The recorders among `keys` that are held here."""
        found = (self._recorders.get(key) for key in keys)
        return [recorder for recorder in found if recorder is not None]

    def take_touched(self) -> set[Recorder]:
        """Return the connections touched since the last call, and begin anew."""
        touched, self.touched = self.touched, set()
        for recorder in touched:
            recorder.touched = False
        return touched
