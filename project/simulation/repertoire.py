"""The dialogues that simulated people have, from a file for each room.

A file begins with what the room is: `name`, `language`, `hours` of the day at which
people talk there, and its `kind` if it is not open to all. Dialogues follow, with a
blank line before each:

    A: which font do we use?
    B: the same as always, @A; $C knows since %minutes% minutes
    | and another line of the same message
    B~ the text of B's last message after an edit
    B-

The last one deletes it. A to D are whoever plays them: `@A` calls them, `$A` is their
first name.
"""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

DIRECTORY = Path(__file__).parent / "dialogues"
ROLES = "ABCD"
LINE = re.compile(rf"([{ROLES}])([:~-]) ?(.*)")
NAMED = re.compile(rf"([@$])([{ROLES}])\b")
VALUE = re.compile(r"%([a-z]+)%")

SAYS, EDITS, DELETES = ":~-"


class Line(NamedTuple):
    """What somebody does in a dialogue; `kind` is SAYS, EDITS or DELETES."""

    role: str
    kind: str
    text: str


class Dialogue(NamedTuple):
    """A few people on one matter."""

    lines: tuple

    @property
    def roles(self):
        """Who is needed for it."""
        named = {role for line in self.lines for _, role in NAMED.findall(line.text)}
        return sorted(named | {line.role for line in self.lines})


class Place(NamedTuple):
    """A room, and what is said there."""

    slug: str
    name: str
    language: str
    hours: tuple  # of the day, from and to
    dialogues: tuple
    kind: str = "open"


class Cast:
    """Who plays a dialogue, and the numbers that it mentions."""

    def __init__(self, dialogue, people, random):
        """`people` are users, at least as many as a dialogue has roles."""
        chosen = random.sample(people, len(dialogue.roles))
        self.people = dict(zip(dialogue.roles, chosen, strict=True))
        self.values = {
            "version": f"{random.randint(2, 6)}.{random.randint(0, 40)}",
            "ticket": str(random.randint(200, 4800)),
            "minutes": str(random.randint(6, 25)),
            "percent": str(random.randint(3, 40)),
        }

    def words(self, line):
        """The text of a line, as its role says it."""
        text = VALUE.sub(lambda found: self.values[found[1]], line.text)
        return NAMED.sub(lambda found: self._called(*found.groups()), text)

    def _called(self, sign, role):
        user = self.people[role]
        return f"@{user.get_username()}" if sign == "@" else user.first_name


@cache
def places():
    """All rooms of the library, by slug."""
    files = sorted(DIRECTORY.glob("*.txt"))
    return {path.stem: place(path.stem, path.read_text("utf-8")) for path in files}


def place(slug, text):
    """Read the file of a room."""
    head, *parts = text.strip().split("\n\n")
    facts = dict(line.split(": ", 1) for line in head.splitlines())
    facts["hours"] = tuple(int(hour) for hour in facts["hours"].split("-"))
    return Place(slug, dialogues=tuple(dialogue(part) for part in parts), **facts)


def dialogue(text):
    """Read one dialogue."""
    lines = []
    for row in text.splitlines():
        if row.startswith("|"):
            last = lines.pop()
            lines.append(last._replace(text=f"{last.text}\n{row[2:]}"))
        else:
            lines.append(Line(*LINE.fullmatch(row).groups()))
    return Dialogue(tuple(lines))
