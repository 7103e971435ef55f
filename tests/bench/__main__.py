"""`make bench`: all parts, or those that are named, and a report of them.

python -m tests.bench echo drain --rounds 1
"""

import argparse
import shutil
import sys

from ..server import ROOT
from ..services import postgres_program
from . import crowd, drain, echo, histories, joins, journeys, memory, report, rooms

PARTS = {
    "echo": echo,
    "memory": memory,
    "drain": drain,
    "journeys": journeys,
    "rooms": rooms,
    "joins": joins,
    "histories": histories,
    "crowd": crowd,
}
DOCS = ROOT / "docs"
NEEDED = {
    "drain": ("postgresql", lambda: postgres_program("initdb")),
    "crowd": ("redis-server", lambda: shutil.which("redis-server")),
    "histories": ("chromium", lambda: shutil.which("chromium")),
    "journeys": ("chromium", lambda: shutil.which("chromium")),
}


def main():
    """Measure and print; a page is written if every part of it was measured."""
    parser = argparse.ArgumentParser(description="Measure what recording costs.")
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"{', '.join(unknown)}? There are {', '.join(PARTS)}.")
    parts = [part for part in PARTS if part in (options.parts or PARTS)]
    check_what_is_needed(parts)

    results = {}
    for part in parts:
        print(f"\n── {part}", flush=True)
        results[part] = PARTS[part].run(rounds=options.rounds)
    for name, page in report.PAGES.items():
        measured = {part: results[part] for part in page.sections if part in results}
        if not measured:
            continue
        text = page.text(measured, options.rounds)
        print(f"\n{text}")
        if len(measured) == len(page.sections):
            (DOCS / name).write_text(text)
            print(f"Written to docs/{name}.")


def check_what_is_needed(parts):
    """Say now what is missing, not after minutes."""
    for part in parts:
        package, found = NEEDED.get(part, ("", lambda: True))
        if not found():
            sys.exit(f"{part} needs {package}; `make test` installs it.")


if __name__ == "__main__":
    main()
