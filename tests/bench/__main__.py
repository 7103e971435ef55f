"""`make bench`: all parts, or those that are named, and a report of them.

python -m tests.bench echo drain --rounds 1
"""

import argparse
import shutil
import sys

from ..server import ROOT
from ..services import postgres_program
from . import drain, echo, journeys, memory, report

PARTS = {"echo": echo, "memory": memory, "drain": drain, "journeys": journeys}
PAGE = ROOT / "docs" / "benchmarks.md"
NEEDED = {
    "drain": ("postgresql", lambda: postgres_program("initdb")),
    "journeys": ("chromium", lambda: shutil.which("chromium")),
}


def main():
    """Measure and print; the page is written if every part was measured."""
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
    page = report.page(results, options.rounds)
    print(f"\n{page}")
    if parts == list(PARTS):
        PAGE.write_text(page)
        print(f"Written to {PAGE.relative_to(ROOT)}.")


def check_what_is_needed(parts):
    """Say now what is missing, not after minutes."""
    for part in parts:
        package, found = NEEDED.get(part, ("", lambda: True))
        if not found():
            sys.exit(f"{part} needs {package}; `make test` installs it.")


if __name__ == "__main__":
    main()
