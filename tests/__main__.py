"""`make test`: what the tests need, then all of them, lint and types included."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

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
    failed = run(LINT)
    with tempfile.TemporaryDirectory(prefix="channelscope-test-") as directory:
        with postgres() as database_url, redis_server() as redis_url:
            outgrown = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
            # Side by side: each leaves a core idle half of the time.
            failed += run(
                {
                    "tests, embedded": [*PYTEST, "tests", "--ignore=tests/browser"],
                    "tests, PostgreSQL and Redis": [
                        *(*PYTEST, "tests/chat", "tests/monitor"),
                        *("--reuse-db", "--create-db"),
                    ],
                },
                {
                    "tests, embedded": {"DATA_DIR": f"{directory}/embedded"},
                    "tests, PostgreSQL and Redis": {
                        "DATA_DIR": f"{directory}/outgrown",
                        **outgrown,
                    },
                },
            )
        browser = {"tests, Chromium": [*PYTEST, "tests/browser"]}
        failed += run(browser, {"tests, Chromium": {"DATA_DIR": directory}})
    print(f"\nFailed: {', '.join(failed)}" if failed else "\nEverything holds.")
    sys.exit(bool(failed))


def run(parts, environments=None):
    """Run parts side by side, show what each said, and return those that failed."""
    with tempfile.TemporaryDirectory() as directory:
        processes = {
            name: start(command, f"{directory}/{name}", (environments or {}).get(name))
            for name, command in parts.items()
        }
        failed = []
        for name, process in processes.items():
            print(f"\n── {name}: {' '.join(parts[name][-3:])}", flush=True)
            if process.wait() != 0:
                failed.append(name)
            print(Path(directory, name).read_text(), end="", flush=True)
    return failed


def start(command, output, environment):
    """Start one part; what it says goes into the file `output`."""
    with open(output, "wb") as file:
        environment = {**os.environ, **(environment or {})}
        return subprocess.Popen(
            command, env=environment, stdout=file, stderr=subprocess.STDOUT
        )


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
