"""`make test`: what the tests need, then all of them, lint and types included."""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from .services import postgres, postgres_program, redis_server

PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"  # Debian's nginx is there
NEEDED = {
    "chromium": lambda: shutil.which("chromium"),
    "redis-server": lambda: shutil.which("redis-server"),
    "nginx": lambda: shutil.which("nginx", path=PATH),
    "postgresql": lambda: postgres_program("initdb"),
    "npm": lambda: shutil.which("npm"),
    "gettext": lambda: shutil.which("msgfmt"),
    "fonts-dejavu-core": lambda: os.path.exists("/usr/share/fonts/truetype/dejavu"),
}
LINT = {
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
}
NEW_DATABASE = ["--reuse-db", "--create-db"]
# Modules that no database makes a difference to.
ALIKE = [
    f"--ignore=tests/{name}.py"
    for name in (
        *("chat/test_eager", "chat/test_caps", "chat/test_protocol", "chat/test_views"),
        *("chat/test_member", "chat/test_rate", "chat/test_typing"),
        *("monitor/test_masking", "monitor/test_journal", "monitor/test_origin"),
        *("monitor/test_applications", "monitor/test_limits", "monitor/test_groups"),
        *("monitor/test_traces_page", "monitor/test_policies_page"),
        "monitor/test_gaps_page",
    )
]
# Of those in Chromium, what staff do.
OF_STAFF = [
    f"tests/browser/test_{name}.py"
    for name in ("dashboard", "operators", "recovery", "rights", "sessions", "traces")
]
LANES = 3  # parts at once, on two cores
PYTEST = [sys.executable, "-m", "pytest", "-q", "--durations=5"]


def main():
    """Run everything; exit with 1 if anything failed, after all has run."""
    install_what_is_missing()
    with (
        tempfile.TemporaryDirectory(prefix="channelscope-test-") as directory,
        postgres() as database_url,
        redis_server() as redis_url,
        ThreadPoolExecutor(LANES) as lanes,
    ):
        both = ["tests/chat", "tests/monitor"]
        others = ["tests/browser", "tests/faults", *both]
        others = [f"--ignore={path}" for path in others]
        not_of_staff = [f"--ignore={path}" for path in OF_STAFF]
        outgrown = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        # Each leaves a core idle for much of its time. The longest come first.
        parts = [
            Part("faults", [*PYTEST, "tests/faults"]),
            Part("Chromium", [*PYTEST, "tests/browser", *not_of_staff]),
            Part("outgrown", [*PYTEST, *ALIKE, *both, *NEW_DATABASE], outgrown),
            Part("the others", [*PYTEST, "tests", *others]),
            Part("Chromium for staff", [*PYTEST, *OF_STAFF]),
            Part("embedded monitor", [*PYTEST, "tests/monitor"]),
            Part("embedded chat", [*PYTEST, "tests/chat"]),
            *(Part(name, command) for name, command in LINT.items()),
        ]
        parts = [
            part.with_data(f"{directory}/{number}") for number, part in enumerate(parts)
        ]
        passed = list(lanes.map(run, parts))
    failed = [part.name for part, fine in zip(parts, passed, strict=True) if not fine]
    print(f"\nFailed: {', '.join(failed)}" if failed else "\nEverything holds.")
    sys.exit(bool(failed))


class Part(NamedTuple):
    """Some of the tests, as a command."""

    name: str
    command: list[str]
    environment: dict[str, str] = {}

    def with_data(self, directory):
        """The same with data of its own."""
        return self._replace(environment={**self.environment, "DATA_DIR": directory})


def run(part):
    """Run a part and show what it said; True if all of it passed."""
    done = subprocess.run(
        part.command,
        env={**os.environ, **part.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    title = f"── {part.name}: {' '.join(part.command[-3:])}"
    print(f"\n{title}\n{done.stdout}", end="", flush=True)
    return done.returncode == 0


def install_what_is_missing():
    """Install Debian packages if we may, and axe-core; otherwise say what to type, and
    fail."""
    install_packages()
    npm = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
    subprocess.run(npm, check=True, cwd=Path(__file__).parent / "browser")


def install_packages():
    missing = [package for package, found in NEEDED.items() if not found()]
    if not missing:
        return
    if os.getuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(
            f"The tests need {', '.join(missing)}. Type:\n"
            f"  sudo apt-get update && sudo apt-get install -y {' '.join(missing)}"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    for command in (["apt-get", "update", "-q"], install):
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
