"""Databases that can be held against writers, so that what comes must wait."""

import contextlib
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from ..services import postgres
from . import processes


@dataclass
class Database:
    """A migrated database, and a connection to it that is ours."""

    data_dir: Path
    environment: dict[str, str]  # where a process finds it
    connection: Any
    holding: list[str]  # statements that keep every writer of the monitor out

    def ask(self, sql):
        """Return the one value that a question has for an answer."""
        return self.connection.execute(sql).fetchone()[0]

    def hold(self):
        """Let nobody write until `release`."""
        for statement in self.holding:
            self.connection.execute(statement)

    def release(self):
        """Let everybody write again."""
        self.connection.execute("COMMIT")


class SQLite:
    """Makes SQLite databases, each a copy of the one that has been migrated."""

    @contextlib.contextmanager
    def running(self):
        with processes.migrated_data() as self.migrated:
            yield self

    @contextlib.contextmanager
    def fresh(self):
        with processes.temporary_data() as data_dir:
            shutil.copytree(self.migrated, data_dir)
            path = data_dir / "channelscope.sqlite3"
            opened = sqlite3.connect(path, timeout=20, isolation_level=None)
            with contextlib.closing(opened) as connection:
                yield Database(data_dir, {}, connection, ["BEGIN IMMEDIATE"])


class PostgreSQL:
    """Makes PostgreSQL databases, each a copy of the one that has been migrated."""

    @contextlib.contextmanager
    def running(self):
        with postgres() as url:
            self.server = url.rpartition("/")[0]
            with psycopg.connect(url, autocommit=True) as self.admin:
                self.admin.execute("CREATE DATABASE migrated")
                with processes.temporary_data() as data_dir:
                    processes.migrate(data_dir, self._at("migrated"))
                yield self

    @contextlib.contextmanager
    def fresh(self):
        self.admin.execute("CREATE DATABASE fresh TEMPLATE migrated")
        environment = self._at("fresh")
        try:
            url = environment["DATABASE_URL"]
            with (
                processes.temporary_data() as data_dir,
                contextlib.closing(psycopg.connect(url, autocommit=True)) as connection,
            ):
                yield Database(
                    data_dir, environment, connection, self._holding(connection)
                )
        finally:
            self.admin.execute("DROP DATABASE fresh WITH (FORCE)")

    def _at(self, name):
        return {"DATABASE_URL": f"{self.server}/{name}"}

    def _holding(self, connection):
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE tablename LIKE 'monitor_%'"
        )
        names = ", ".join(name for (name,) in tables)
        # Readers are let in, so that one can see that nothing has been written.
        return ["BEGIN", f"LOCK TABLE {names} IN EXCLUSIVE MODE"]


DATABASES = {"SQLite": SQLite, "PostgreSQL": PostgreSQL}
