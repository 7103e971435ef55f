"""Connections that are over, by the million, cost an open dashboard nothing."""

import uuid

import pytest
from django.db import connection as database
from django.db import transaction
from django.test.utils import CaptureQueriesContext

from monitor import presence
from monitor.dashboard import actions, asking, connections, processes, totals
from monitor.dashboard.viewer import PERMISSIONS, Viewer
from monitor.models import Connection

pytestmark = pytest.mark.django_db
OPERATOR = Viewer(frozenset(PERMISSIONS))


@pytest.fixture
def past(connection):
    """What the process of an open connection has had before."""
    facts = {
        field.attname: getattr(connection, field.attname)
        for field in Connection._meta.concrete_fields
    }
    facts["closed_at"] = facts["opened_at"]
    over = [Connection(**facts | {"id": uuid.uuid4()}) for _ in range(500)]
    Connection.objects.bulk_create(over)
    if database.vendor == "postgresql":  # which would learn it by itself
        with database.cursor() as cursor:
            cursor.execute("ANALYZE monitor_connection")


def plans(ask, table):
    """How the database finds the rows of a table, for each query that names it."""
    with CaptureQueriesContext(database) as asked:
        ask()
    word = "EXPLAIN" if database.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    found = []
    with transaction.atomic(), database.cursor() as cursor:
        if database.vendor == "postgresql":
            # As it would be if there were many rows.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
        for query in asked.captured_queries:
            if f'"{table}"' in query["sql"]:
                cursor.execute(f"{word} {query['sql']}")
                found.append("\n".join(str(row[-1]) for row in cursor.fetchall()))
    return found


@pytest.mark.parametrize(
    "ask",
    [
        lambda one: processes.query(OPERATOR),
        lambda one: connections.query(OPERATOR),
        lambda one: totals.query(OPERATOR),
        lambda one: presence.members("chat", "slug"),
        asking.others,
    ],
    ids=["processes", "connections", "totals", "presence", "others"],
)
def test_open_connections_are_found_by_an_index_of_their_own(connection, past, ask):
    [plan] = plans(lambda: ask(connection), "monitor_connection")

    assert "monitor_connection_open" in plan


def test_the_last_connections_of_users_are_found_without_reading_all(connection, past):
    def ask():
        presence.last_seen("chat", list(range(300)))

    last, unheard_of = plans(ask, "monitor_connection")

    assert "monitor_connection_last" in last
    assert "Sort" not in last
    assert "TEMP B-TREE" not in last
    assert "monitor_connection_open" in unheard_of


def test_the_newest_actions_are_found_without_sorting_all(db):
    [plan] = plans(lambda: actions.query(OPERATOR), "monitor_action")

    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan
