"""SQL that writes a whole batch in one statement.

Without the interpreter's lock while the database works: `bulk_create` costs 39 µs an
event and stalls the event loop, these 5 to 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson
from django.db import DataError, InterfaceError, ProgrammingError, models
from django.db.backends.base.base import BaseDatabaseWrapper

Convert = Callable[[Any], Any]
Row = list[Any]

VENDORS = ("sqlite", "postgresql")
AT_ONCE = 256  # rows in a statement of SQLite, which takes 32,766 parameters
# What a value raises that is not of its field's kind; sqlite3 raises the last two.
UNFIT = (
    *(AttributeError, OverflowError, TypeError, ValueError),
    *(InterfaceError, ProgrammingError),
)


def insert(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    names: Sequence[str],
    rows: Sequence[Row],
) -> None:
    """Insert `rows`, values in the order of `names`; pass over those that are there.

    The rows themselves become what the database takes, so they serve only once. A
    UUID is given as 32 hexadecimal digits.

    DataError for a value that is not of its field's kind, as from the database.
    """
    if not rows:
        return
    fields = _fields(model, names)
    if connection.vendor == "sqlite":
        _insert_values(connection, model, fields, rows)
        return
    columns = ", ".join(_quoted(connection, fields))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {_table(connection, model)} ({columns}) SELECT {columns} "
            f"FROM {_rows_from(connection, fields)} AS new ON CONFLICT DO NOTHING",
            [_json(connection, fields, rows)],
        )


def update(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    assignments: dict[str, str],
    rows: Sequence[dict[str, Any]],
    key: Sequence[str] = ("id",),
) -> None:
    """Update rows by their `key`.

    `assignments` has an SQL expression for each field, in which `old` is the row of
    the table and `new` the given one. `{greatest}` is the name of the function that
    returns the greater of its arguments.
    """
    if not rows:
        return
    names = [*key, *assignments]
    fields = _fields(model, names)
    columns = _quoted(connection, fields)
    greatest = "MAX" if connection.vendor == "sqlite" else "GREATEST"
    settings = ", ".join(
        f"{column} = {assignments[name].format(greatest=greatest)}"
        for name, column in zip(names[len(key) :], columns[len(key) :], strict=True)
    )
    keys = columns[: len(key)]
    same = " AND ".join(f"old.{column} = new.{column}" for column in keys)
    values = [[row.get(name) for name in names] for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {_table(connection, model)} AS old SET {settings} "
            f"FROM {_rows_from(connection, fields)} AS new WHERE {same}",
            [_json(connection, fields, values)],
        )


def _insert_values(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    fields: list[models.Field],
    rows: Sequence[Row],
) -> None:
    """Insert by parameters: SQLite takes them in half the time of JSON."""
    names = [field.attname for field in fields]
    table = _table(connection, model)
    columns = ", ".join(_quoted(connection, fields))
    connection.ensure_connection()
    try:
        done = 0
        for count in _sizes(len(rows), AT_ONCE):
            some = _converted(connection, fields, rows[done : done + count])
            done += count
            sql = _insert_sql(table, columns, len(names), count)
            # Below Django's cursor, which would look for %s in all of it each time.
            with connection.wrap_database_errors:
                connection.connection.execute(sql, list(chain.from_iterable(some)))
    except UNFIT as error:
        raise DataError(f"{type(error).__name__}: {error}") from error


def _sizes(count: int, most: int) -> Iterable[int]:
    """Powers of two that make up `count`: a dozen statements, prepared once each."""
    size = 1 << (most.bit_length() - 1)
    while count:
        while size > count:
            size //= 2
        yield size
        count -= size


@lru_cache(maxsize=128)
def _insert_sql(table: str, columns: str, width: int, count: int) -> str:
    row = f"({', '.join('?' * width)})"
    rows = ", ".join([row] * count)
    return f"INSERT INTO {table} ({columns}) VALUES {rows} ON CONFLICT DO NOTHING"


def _rows_from(connection: BaseDatabaseWrapper, fields: list[models.Field]) -> str:
    """A sub-select that turns the JSON of the one parameter into rows."""
    columns = _quoted(connection, fields)
    if connection.vendor == "sqlite":
        values = ", ".join(
            f"json_extract(value, '$.{field.attname}') AS {column}"
            for field, column in zip(fields, columns, strict=True)
        )
        return f"(SELECT {values} FROM json_each(%s))"
    types = ", ".join(
        f"{column} {field.db_type(connection)}"
        for field, column in zip(fields, columns, strict=True)
    )
    return f"(SELECT * FROM json_to_recordset(%s::json) AS r({types}))"


def _json(
    connection: BaseDatabaseWrapper, fields: list[models.Field], rows: Sequence[Row]
) -> str:
    names = [
        field.attname if connection.vendor == "sqlite" else str(field.column)
        for field in fields
    ]
    try:
        values = _converted(connection, fields, rows)
        return orjson.dumps(
            [dict(zip(names, row, strict=True)) for row in values]
        ).decode()
    except UNFIT as error:
        raise DataError(f"{type(error).__name__}: {error}") from error


def _converted(
    connection: BaseDatabaseWrapper, fields: list[models.Field], rows: Sequence[Row]
) -> Sequence[Row]:
    """The rows as the database takes them: changed in place, to spare a copy."""
    for index, field in enumerate(fields):
        convert = _converter(connection, field)
        if convert is None:
            continue
        for row in rows:
            if row[index] is not None:
                row[index] = convert(row[index])
    return rows


def _converter(connection: BaseDatabaseWrapper, field: models.Field) -> Convert | None:
    """How a value of the journal becomes one of the database; None if it is one."""
    target = field.target_field if isinstance(field, models.ForeignKey) else field
    on_sqlite = connection.vendor == "sqlite"
    match target:
        case models.DateTimeField():
            return _naive_time if on_sqlite else _time
        case models.IntegerField() if target is not field:
            return int
        case models.JSONField() if on_sqlite:
            return _as_json
        case models.IntegerField() | models.JSONField() | models.TextField():
            return None
        case models.UUIDField():
            return None
        case models.CharField() if target is field:
            return None
    return lambda value: target.get_db_prep_value(target.to_python(value), connection)


def _time(value: int | datetime) -> str:
    return f"{_naive_time(value)}+00:00"


def _naive_time(value: int | datetime) -> str:
    """A time in UTC, without saying so, as Django keeps it in SQLite."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    seconds, microseconds = divmod(value, 1_000_000)
    if not microseconds:
        return _second(seconds)
    return f"{_second(seconds)}.{microseconds:06}"


@lru_cache(maxsize=16)  # the events of one batch fell into one or two of them
def _second(value: int) -> str:
    return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _as_json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _table(connection: BaseDatabaseWrapper, model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _fields(model: type[models.Model], names: Iterable[str]) -> list[models.Field]:
    by_name = {field.attname: field for field in model._meta.concrete_fields}
    return [by_name[name] for name in names]


def _quoted(connection: BaseDatabaseWrapper, fields: list[models.Field]) -> list[str]:
    return [connection.ops.quote_name(str(field.column)) for field in fields]
