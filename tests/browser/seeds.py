"""Rows that a server would take long to earn: losses, errors, many traces."""

import sqlite3
import uuid
from datetime import UTC, datetime, timedelta

LONG = "/ws/chat/a-room-whose-name-is-as-long-as-names-of-rooms-are/" * 8
TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/consumers.py", line 42, in receive
    self.order = self.orders[content["order"]]
                 ~~~~~~~~~~~^^^^^^^^^^^^^^^^^^
  File "/srv/shop/orders.py", line 7, in __getitem__
    raise UnknownOrder(f"{key} is not an order of {self.user}, nor of anybody else")
shop.orders.UnknownOrder: 4711 is not an order of ana, nor of anybody else
"""
OMITTED = [
    *(("policy", 412, ""), ("binary", 12, ""), ("full", 80, ""), ("redaction", 9, "")),
    ("cut", 40 * 2**10, "The start of a text. " * 300),
]


class Seeds:
    """Writes rows into a server's embedded database, from outside."""

    def __init__(self, server):
        self.database = sqlite3.connect(server.database, timeout=20)
        self.database.row_factory = sqlite3.Row

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.database.commit()
        self.database.close()

    def insert(self, table, **row):
        """Write one row of the monitor's."""
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self.database.execute(
            f"INSERT INTO monitor_{table} ({names}) VALUES ({marks})", [*row.values()]
        )

    def newest(self, table, order, condition="true"):
        """The newest row of a table of the monitor's."""
        query = f"SELECT * FROM monitor_{table} WHERE {condition}"
        query += f" ORDER BY {order} DESC LIMIT 1"
        return self.database.execute(query).fetchone()

    def room_with(self, slug, count, author):
        """Make a room with messages of a user, numbered from 1; return its slug."""
        user = self.database.execute(
            "SELECT id FROM auth_user WHERE username = ?", [author]
        ).fetchone()["id"]
        made = self.database.execute(
            "INSERT INTO chat_room (slug, name, created_at, last_seq, last_rev) "
            "VALUES (?, ?, ?, ?, ?)",
            [slug, slug, ago(days=30), count, count],
        )
        self.database.executemany(
            "INSERT INTO chat_message (room_id, seq, rev, author_id, author_name, "
            "text, sent_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    made.lastrowid,
                    n,
                    n,
                    user,
                    author,
                    f"message {n}",
                    ago(minutes=count - n),
                )
                for n in range(1, count + 1)
            ),
        )
        self.database.commit()
        return slug

    def losses(self, count):
        """Gaps of the only process, one an hour, and texts that it left out."""
        process = self.newest("process", "started_at")["id"]
        for number in range(count):
            self.insert(
                "gap",
                process_id=process,
                kind=["payload", "dropped"][number % 2],
                began_at=ago(hours=number, minutes=2),
                ended_at=ago(hours=number, minutes=1),
                count=7 ** (number % 6),
            )

    def traces(self, count):
        """Traces of everything, most of them over."""
        values = [("user", "ana"), ("client", "2001:db8::7"), ("path", "/ws/chat/*")]
        values += [("path", LONG), ("connection", str(uuid.uuid4()))]
        results = ["expired", "full", "stopped"]
        for number in range(count):
            kind, value = values[number % len(values)]
            runs = number % 3 == 0
            self.insert(
                "trace",
                kind=kind,
                value=value,
                asked_by_name="olga",
                started_at=ago(minutes=number),
                ends_at=ago(minutes=-60 * number - 7),
                bytes_limit=10 * 2**20,
                bytes_kept=number**5 % (9 * 2**20),
                finished_at=None if runs else ago(minutes=1),
                result="" if runs else results[number % 3],
            )

    def mishaps(self):
        """What can become of texts, and an error with its cause, on one connection.

        Returns the connection's id.
        """
        event = dict(self.newest("event", "id", "path = '/ws/chat/'"))
        event = {name: event[name] for name in ("connection_id", "path", "client")}
        event |= {"username": "ana", "handler_us": 1204, "detail": "", "text": ""}
        seq = 1_000_000
        for omission, size, text in OMITTED:
            facts = {"omission": omission, "size": size, "text": text}
            self.event(seq, "receive", **event | facts)
            seq += 1
        order = '{"order": 4711, "note": "please"}'
        took = {"handler_us": 2_310_448}
        self.event(seq, "receive", **event | took | {"text": order, "size": len(order)})
        detail = "UnknownOrder at shop.consumers:42 in receive"
        error = {"detail": detail, "text": TRACEBACK, "about_seq": seq}
        self.event(seq + 1, "error", **event | error | {"handler_us": None})
        return uuid.UUID(event["connection_id"])

    def event(self, seq, kind, **facts):
        """An event that has just happened."""
        defaults = {"size": 0, "omission": "", "seq": seq, "kind": kind}
        self.insert("event", at=ago(), **defaults | facts)


def ago(**span):
    """A time in the past, as SQLite keeps it."""
    return (datetime.now(UTC) - timedelta(**span)).strftime("%Y-%m-%d %H:%M:%S.%f")
