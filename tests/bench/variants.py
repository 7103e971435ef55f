"""What is measured side by side, and how the command line chooses of it."""

import argparse
import importlib.util
import sys

SERVERS = ("daphne", "uvicorn")
NAMES = ("bare", "recorded-bare", "stock", "recorded-stock", "stock-acreate")
OURS = [(kind, name) for kind in SERVERS for name in NAMES]
SOCKETIO = [("uvicorn", name) for name in ("socketio", "socketio-admin")]


def options(description, rounds, **more):
    """Parse `--rounds`, `--only` and more options, given with their defaults."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in {"rounds": rounds, **more}.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--only", default="", help="servers and applications")
    return parser.parse_args()


def chosen(variants, only):
    """Those of the variants that `only` names: servers, applications or both."""
    words = set(filter(None, only.split(",")))
    kinds = words.intersection(SERVERS) or SERVERS
    names = words.difference(SERVERS)
    known = {name for _, name in variants}
    if unknown := names - known:
        sys.exit(f"{', '.join(unknown)}? There are {', '.join(sorted(known))}.")
    return [
        (kind, name)
        for kind, name in variants
        if kind in kinds and name in (names or known)
    ]


def socketio_if_installed():
    """The variants of python-socketio, which only `make bench` installs."""
    if importlib.util.find_spec("socketio"):
        return SOCKETIO
    print("python-socketio is not installed, so it is left out.")
    return []
