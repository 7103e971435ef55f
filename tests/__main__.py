"""`make test`: what the tests need, then all of them, lint and types included."""

import os
import shutil
import subprocess
import sys
import tempfile

from .services import postgres, postgres_program, redis_server

NEEDED = {
    "chromium": lambda: shutil.which("chromium"),
    "redis-server": lambda: shutil.which("redis-server"),
    "postgresql": lambda: postgres_program("initdb"),
    "fonts-dejavu-core": lambda: os.path.exists("/usr/share/fonts/truetype/dejavu"),
}
LINT = {
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
}
PYTEST = [sys.executable, "-m", "pytest", "-q", "--durations=5"]


def main():
    """Run everything; exit with 1 if anything failed, after all has run."""
    install_what_is_missing()
    failed = [name for name, command in LINT.items() if not run(name, command)]
    with tempfile.TemporaryDirectory(prefix="channelscope-test-") as directory:
        embedded = {"DATA_DIR": directory}
        tests = ["tests", "--ignore=tests/browser"]
        if not run("tests, embedded", [*PYTEST, *tests], embedded):
            failed.append("tests, embedded")
        with postgres() as database_url, redis_server() as redis_url:
            urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
            again = ["tests/chat", "tests/monitor", "--reuse-db", "--create-db"]
            name = "tests, PostgreSQL and Redis"
            if not run(name, [*PYTEST, *again], embedded | urls):
                failed.append(name)
        if not run("tests, Chromium", [*PYTEST, "tests/browser"], embedded):
            failed.append("tests, Chromium")
    print(f"\nFailed: {', '.join(failed)}" if failed else "\nEverything holds.")
    sys.exit(bool(failed))


def run(name, command, environment=None):
    """Run one part and tell whether it went well."""
    print(f"\n── {name}: {' '.join(command[-3:])}", flush=True)
    done = subprocess.run(command, env={**os.environ, **(environment or {})})
    return done.returncode == 0


def install_what_is_missing():
    """Install Debian packages if we may; otherwise say what to type, and fail."""
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
