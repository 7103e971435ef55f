"""The connections that this process holds open, by id."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator

from monitor.recording.recorder import Recorder
from monitor.scope import session_key

SESSIONS = 10_000  # keys that are remembered for connections whose rows wait


class Registry:
    """Recorders of open connections, and those whose counts are not stored."""

    def __init__(self) -> None:
        self._recorders: dict[str, Recorder] = {}
        # Session keys of connections that are not stored yet: the journal must not
        # have them, and the connection may be gone by then.
        self._sessions: dict[str, str] = {}
        self.touched: set[Recorder] = set()

    def __len__(self) -> int:
        return len(self._recorders)

    def __iter__(self) -> Iterator[Recorder]:
        return iter(list(self._recorders.values()))

    def __contains__(self, connection_id: uuid.UUID) -> bool:
        return connection_id.hex in self._recorders

    def add(self, recorder: Recorder) -> None:
        self._recorders[recorder.key] = recorder
        key = session_key(recorder.scope)
        if key is not None and len(self._sessions) < SESSIONS:
            self._sessions[recorder.key] = key

    def discard(self, recorder: Recorder) -> None:
        self._recorders.pop(recorder.key, None)

    def get(self, key: str) -> Recorder | None:
        """The recorder of an open connection; None if it is not held here."""
        return self._recorders.get(key)

    def sessions(self, keys: Iterable[str]) -> dict[str, str]:
        """The session keys of those connections that have one."""
        return {key: self._sessions[key] for key in keys if key in self._sessions}

    def forget_sessions(self, keys: Iterable[str]) -> None:
        """Forget the session keys of connections that are stored."""
        for key in keys:
            self._sessions.pop(key, None)

    def take_touched(self) -> set[Recorder]:
        """Return the connections touched since the last call, and begin anew."""
        touched, self.touched = self.touched, set()
        for recorder in touched:
            recorder.touched = False
        return touched
