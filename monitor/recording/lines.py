"""The lines of a journal, each a JSON text.

An event is an object: `seq`, `kind`, `id` (of the connection), `at`, `heard_at` (when a
person showed last; null, or left out by the version before), `counts`, `took` and
whatever its kind needs. A message is an array, which costs half as much to write
and to read, and there are many of them. Times are microseconds since 1970.
"""

from __future__ import annotations

from typing import Any

# The places in the array of a message. `TRACES` are the ids of the traces that it is
# kept for, the oldest first; or null. `HANDLED_SEQ` and `HANDLER_US` tell of the
# message before it on the same connection: its number and how long it took; or null.
# Of a message by which no person shows, `AUTOMATIC` comes behind them. All others have
# nothing there: a process of the version before can take over their journal.
MESSAGE = (
    *("seq", "id", "kind", "at", "messages_in", "messages_out", "bytes_in"),
    *("bytes_out", "text", "size", "omission", "traces", "handled_seq", "handler_us"),
)
AUTOMATIC = "automatic"
SEQ, TEXT, OMISSION = map(MESSAGE.index, ("seq", "text", "omission"))
COUNTS = ("messages_in", "messages_out", "bytes_in", "bytes_out")

Message = list[Any]
Event = dict[str, Any]

TRACED_ROW = 250  # bytes that a traced message takes beside its text, about


def trace_cost(size: int) -> int:
    """The bytes that a message of `size` counts for the size of its trace."""
    return size + TRACED_ROW
