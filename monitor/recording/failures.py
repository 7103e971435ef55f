"""What is kept of an exception: its type, its place, its traceback."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterable
from types import FrameType
from typing import Any

from monitor.scope import MASK

from .capture import Kept, keep
from .masking import SEARCHED, secrets

LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib"))
LIMIT = 16 * 2**10  # bytes of a traceback; its end says most
FRAMES = 50
SHORTEST_SECRET = 4  # characters; shorter ones are in every text


def place_of(error: BaseException) -> str:
    """Where an exception came from, such as `shop.consumers:42 in receive`.

    The innermost place outside of libraries, if there is one.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [place for place in frames if not _is_library(place[0])]
    if not frames:
        return ""
    frame, line = (own or frames)[-1]
    name = frame.f_globals.get("__name__", frame.f_code.co_filename)
    return f"{name}:{line} in {frame.f_code.co_name}"


def describe(error: BaseException) -> str:
    """The type and the place of an exception, in one line."""
    place = place_of(error)
    return f"{type(error).__name__} at {place}" if place else type(error).__name__


def keep_traceback(error: BaseException, message: dict[str, Any] | None) -> Kept:
    """Return what is kept of the traceback, secrets of the `message` masked."""
    told = traceback.TracebackException.from_exception(error, limit=-FRAMES)
    searched, is_whole = _searched(message or {})
    if is_whole:
        text = _hidden("".join(told.format()), secrets(searched))
    else:
        # What it says may quote a secret that nobody has looked for.
        text = f"{''.join(told.stack.format())}{type(error).__name__}: {MASK}\n"
    return keep({"text": text[-LIMIT:]}, LIMIT)


def _is_library(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__", "")
    return name.partition(".")[0] == "monitor" or frame.f_code.co_filename.startswith(
        LIBRARIES
    )


def _searched(message: dict[str, Any]) -> tuple[str, bool]:
    """As much of a message as is searched for secrets, and whether it is all."""
    text = message.get("text")
    if text is None:
        data = message.get("bytes") or b""
        return data[:SEARCHED].decode(errors="replace"), len(data) <= SEARCHED
    return text[:SEARCHED], len(text) <= SEARCHED


def _hidden(text: str, values: Iterable[str]) -> str:
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= SHORTEST_SECRET:
            text = text.replace(value, MASK)
    return text
