"""Masks secrets in the texts of messages, whole or cut.

The values of keys that sound secret are replaced, in JSON at any depth and in strings
of JSON within JSON, in forms (`password=…`), headers (`Authorization: …`) and what
Python prints of a dict. The rest of the text stays as it came, valid JSON included.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from monitor.scope import MASK

# What a key has in it that says "secret". `author` and `keyboard` do not.
NAME = (
    r"passw|passphrase|passcode|(?<![a-z])pass(?![a-z])|pwd|token|secret|csrf|xsrf"
    r"|session|credential|card|authori[sz]ation|auth(?!or)|bearer|jwt|signature"
    r"|api[-_ ]?key|private[-_ ]?key|access[-_ ]?key|(?<![a-z])(?:cvc|cvv|otp|pin|iban"
    r"|ssn|sid)(?![a-z])"
)
SECRET = re.compile(NAME)  # in lower case: ignoring case costs ten times as much
# One of these is in every text that has something to be masked. Searching for them
# costs a tenth of the regular expression. In front: the commonest.
HINTS = (
    *("pass", "token", "session", "secret", "auth", "key", "pwd", "srf", "cred"),
    *("card", "bearer", "jwt", "sign", "cvc", "cvv", "otp", "pin", "iban", "ssn"),
    *("sid", "\\u"),  # an escape may hide a letter: "p\\u0061ssword"
)
STRING = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)("|\\?\Z)', re.DOTALL)
COLON = re.compile(r"\s*:\s*")
SCALAR = re.compile(r"[^,}\]\s][^,}\]\n]*")
BRACKET = re.compile(r'"|[\[{]|[\]}]')
VALUE = (
    r"""\\*[bru]{0,2}"[^"]*"?|[bru]{0,2}'[^']*'?"""
    r"""|(?:(?:bearer|basic|digest|token)\s+)?[^\s&;,"'\\)}\]]+"""
)
# In text all is in lower case, so `userPass` is one word: what needs borders in `NAME`
# does without one in front.
LOOSE_NAME = NAME + r"|(?:pass|pin|otp|cvc|cvv|iban|ssn|sid)(?![a-z])"
ASSIGNED = re.compile(rf"(?:{LOOSE_NAME})[\w.\[\]-]{{0,64}}=({VALUE})")
NAMED = re.compile(
    r"authori[sz]ation\s{0,9}[:=]\s{0,9}(?P<rest>[^\s\"'][^\r\n]*)|"
    rf"""(?:{LOOSE_NAME})[\w.\[\]-]{{0,64}}\\*["']?\s{{0,9}}[:=]\s{{0,9}}({VALUE})"""
)
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
LOWER = {ord(letter): letter.lower() for letter in string.ascii_uppercase}
SAFE_KEYS = 4096  # that are remembered
LONGEST_KEY = 64  # characters
safe_keys: set[str] = set()
SEARCHED = 2**15  # characters; 10-20 ms of work, 45 if somebody makes them slow
DEPTH = 4  # of JSON in strings of JSON; what lies deeper is masked whole


class Replacement(NamedTuple):
    """What to put where in a text."""

    start: int
    end: int
    shown: str


def mask(text: str) -> str:
    """Return `text` with the values of its secret keys replaced by `MASK`."""
    return text if is_harmless(text) else _masked(text, DEPTH)


def mask_start(text: str) -> tuple[str, bool]:
    """The same for a text of any length, and whether it is all there.

    One that may have secrets is cut after `SEARCHED`: the event loop waits for it.
    """
    if is_harmless(text):
        return text, True
    return _masked(text[:SEARCHED], DEPTH), len(text) <= SEARCHED


def is_harmless(text: str) -> bool:
    """Whether nothing in `text` is to be masked. False may mean: cannot tell."""
    # First, at a third of the cost of searching: JSON whose keys are all known. What
    # has an equals sign or an escape may be a form, or have more JSON within it.
    if text[:1] == "{" and "=" not in text and "\\" not in text:
        try:
            # All objects must have been seen: of two equal keys only the last one is.
            if _safe_objects(orjson.loads(text)) == text.count("{"):
                return True
        except (RecursionError, ValueError):
            pass  # too deep, or no JSON
    return not _may_have_secrets(text)


def secrets(text: str) -> set[str]:
    """The texts that `mask` would hide in JSON, to be found where they are quoted."""
    hidden = [
        text[start:end]
        for start, end, shown in _json_values(text, DEPTH)
        if shown == f'"{MASK}"'
    ]
    texts = {_unescaped(found[1]) for part in hidden for found in STRING.finditer(part)}
    return texts | {part for part in hidden if part[0] not in '"[{'}


def _safe_objects(content: dict[str, Any]) -> int:
    """How many objects there are in one that has only keys known not to be secret.

    Messages of one application have the same few. 0 may mean: cannot tell.
    """
    if not (content.keys() <= safe_keys or _learn(content)):
        return 0
    count = 1
    for value in content.values():
        kind = type(value)
        if kind is not dict and kind is not list:
            continue
        for item in (value,) if kind is dict else value:
            if type(item) is dict:
                within = _safe_objects(item)
                if not within:
                    return 0
                count += within
            elif type(item) is list:
                return 0
    return count


def _learn(keys: Iterable[str]) -> bool:
    """Take keys into `safe_keys`; False if one is secret, or if there are too many."""
    for key in keys:
        if _is_secret(key) or len(key) > LONGEST_KEY or len(safe_keys) >= SAFE_KEYS:
            return False
        safe_keys.add(key)
    return True


def _may_have_secrets(text: str) -> bool:
    return any(map(text.lower().__contains__, HINTS))


def _masked(text: str, depth: int) -> str:
    masked = _replaced(text, _json_values(text, depth))
    pattern = ASSIGNED if _is_json(text) else NAMED
    return _replaced(masked, _named_values(masked, pattern))


def _replaced(text: str, replacements: Iterable[Replacement]) -> str:
    pieces: list[str] = []
    done = 0
    for start, end, shown in replacements:
        pieces += text[done:start], shown
        done = end
    return "".join([*pieces, text[done:]])


def _json_values(text: str, depth: int) -> Iterator[Replacement]:
    """What to mask in a text that is JSON or the start of it."""
    found = STRING.search(text)
    while found:
        behind = found.end()
        colon = COLON.match(text, behind)
        if colon and _is_secret(found[1]):
            behind = _end_of_value(text, colon.end())
            if behind > colon.end():
                yield Replacement(colon.end(), behind, f'"{MASK}"')
        elif not colon and ('\\"' in found[1] or "\\u" in found[1]):
            inner = _unescaped(found[1])
            shown = inner
            if _may_have_secrets(inner):
                shown = _masked(inner, depth - 1) if depth else MASK
            if shown != inner:
                shown = json.dumps(shown, ensure_ascii=False)
                yield Replacement(found.start(), found.end(), shown)
        found = STRING.search(text, behind)


def _named_values(text: str, pattern: re.Pattern[str]) -> Iterator[Replacement]:
    """What to mask in a form, in headers and in other text."""
    for match in pattern.finditer(_lower(text)):
        start, end = match.span(match.lastindex or 0)
        value = text[start:end]
        if value.strip("\\\"'") in ("", MASK):
            continue
        if match.lastgroup == "rest":
            yield Replacement(start, end, MASK)
            continue
        quote = next((mark for mark in "\"'" if mark in value), "")
        escapes = "\\" * (len(value) - len(value.lstrip("\\")))
        yield Replacement(start, end, f"{escapes}{quote}{MASK}{escapes}{quote}")


def _lower(text: str) -> str:
    """The text in lower case, every character where it was."""
    return text.lower() if text.isascii() else text.translate(LOWER)


@lru_cache(maxsize=1024)  # messages of one kind have the same keys
def _is_secret(raw: str) -> bool:
    words = CAMEL.sub("_", _unescaped(raw))  # userPass: user_pass
    return SECRET.search(words.lower()) is not None


def _end_of_value(text: str, start: int) -> int:
    """Where the JSON value ends that begins at `start`; the text's end if it is cut."""
    match text[start : start + 1]:
        case '"':
            found = STRING.match(text, start)
            return found.end() if found else len(text)
        case "{" | "[":
            return _end_of_brackets(text, start)
    scalar = SCALAR.match(text, start)
    return scalar.end() if scalar else start


def _end_of_brackets(text: str, start: int) -> int:
    depth, bracket = 0, BRACKET.search(text, start)
    while bracket:
        behind = bracket.end()
        if bracket[0] == '"':
            found = STRING.match(text, bracket.start())
            behind = found.end() if found else len(text)
        else:
            depth += 1 if bracket[0] in "[{" else -1
            if not depth:
                return behind
        bracket = BRACKET.search(text, behind)
    return len(text)


def _unescaped(raw: str) -> str:
    """The string that stands between two quotes of JSON; as it is, if it is none."""
    if "\\" not in raw:
        return raw
    try:
        return json.loads(f'"{raw}"', strict=False)
    except ValueError:
        return raw


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True
