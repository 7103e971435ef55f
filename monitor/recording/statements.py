"""SQL that writes a whole batch in few statements.

Without the interpreter's lock while the database works: `bulk_create` costs several
times as much and stalls the event loop. SQLite gets parameters for a few hundred rows
at a time, PostgreSQL a COPY; what changes rows is fed with JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson
from django.db import (
    DataError,
    InterfaceError,
    ProgrammingError,
    models,
)
from django.db.backends.base.base import BaseDatabaseWrapper

Convert = Callable[[Any], Any]
Row = list[Any]

VENDORS = ("sqlite", "postgresql")
AT_ONCE = 256  # rows in a statement; SQLite takes 32,766 parameters
# What a value raises that is not of its field's kind.
UNFIT = (AttributeError, OverflowError, TypeError, ValueError)


def insert(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    names: Sequence[str],
    rows: Sequence[Row],
    in_doubt: bool,
) -> None:
    """Insert `rows`, values in the order of `names`.

    The rows themselves become what the database takes, so they serve only once. A
    UUID is given as 32 hexadecimal digits, JSON as text.

    `in_doubt` passes over rows that are there already, which costs half as much again;
    otherwise they raise IntegrityError. DataError for a value that is not of its
    field's kind, as from the database.
    """
    fields = _fields(model, names)
    try:
        rows = _converted(connection, fields, rows)
    except UNFIT as error:
        raise DataError(f"{type(error).__name__}: {error}") from error
    values = list(chain.from_iterable(rows))
    insert_ready(connection, model, names, values, in_doubt)


def insert_ready(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    names: Sequence[str],
    values: list[Any],
    in_doubt: bool,
) -> None:
    """The same for values that are what the database takes: numbers, texts. Those of
    all rows are in one list."""
    if not values:
        return
    fields = _fields(model, names)
    try:
        if connection.vendor == "sqlite":
            _insert_values(connection, model, fields, values, in_doubt)
        else:
            _copy(connection, model, fields, values, in_doubt)
    except UNFIT as error:
        raise DataError(f"{type(error).__name__}: {error}") from error
    except (InterfaceError, ProgrammingError) as error:
        if _is_about_values(error):
            raise DataError(str(error)) from error
        raise


def time_converter(connection: BaseDatabaseWrapper) -> Convert:
    """What turns microseconds since 1970 into what the database takes."""
    return _naive_time if connection.vendor == "sqlite" else _time


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
    sql = (
        f"UPDATE {_table(connection, model)} AS old SET {settings} "
        f"FROM {_rows_from(connection, fields)} AS new WHERE {same}"
    )
    with connection.cursor() as cursor:
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            values = [[row.get(name) for name in names] for row in some]
            cursor.execute(sql, [_json(connection, fields, values)])


def _insert_values(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    fields: list[models.Field],
    values: list[Any],
    in_doubt: bool,
) -> None:
    """Insert by parameters: SQLite takes them in half the time of JSON."""
    table = _table(connection, model)
    columns = ", ".join(_quoted(connection, fields))
    connection.ensure_connection()
    width, done = len(fields), 0
    for count in _sizes(len(values) // width, AT_ONCE):
        some = values[done : done + count * width]
        done += count * width
        sql = _insert_sql(table, columns, width, count, in_doubt)
        # Below Django's cursor, which would look for %s in all of it each time.
        with connection.wrap_database_errors:
            connection.connection.execute(sql, some)


def _copy(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    fields: list[models.Field],
    values: list[Any],
    in_doubt: bool,
) -> None:
    """Insert by PostgreSQL's COPY, which cannot pass over rows that are there."""
    table = _table(connection, model)
    columns = ", ".join(_quoted(connection, fields))
    width = len(fields)
    rows = (values[i : i + width] for i in range(0, len(values), width))
    with connection.cursor() as cursor, connection.wrap_database_errors:
        if in_doubt:
            places = ", ".join(["%s"] * width)
            cursor.executemany(
                f"INSERT INTO {table} ({columns}) VALUES ({places}) "
                "ON CONFLICT DO NOTHING",
                list(rows),
            )
            return
        with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)


def _is_about_values(error: Exception) -> bool:
    """Whether a driver refused a value; anything else may be an outage."""
    # "type 'dict' is not supported", "cannot adapt type 'dict'"
    return "type '" in str(error)


def _sizes(count: int, most: int) -> Iterable[int]:
    """Powers of two that make up `count`: a dozen statements, prepared once each."""
    size = 1 << (most.bit_length() - 1)
    while count:
        while size > count:
            size //= 2
        yield size
        count -= size


@lru_cache(maxsize=128)
def _insert_sql(
    table: str, columns: str, width: int, count: int, in_doubt: bool
) -> str:
    # OR FAIL spares SQLite a copy of every page that the statement changes, by which
    # it could undo it alone. The transaction is rolled back as a whole.
    verb, end = ("", " ON CONFLICT DO NOTHING") if in_doubt else (" OR FAIL", "")
    row = f"({', '.join('?' * width)})"
    rows = ", ".join([row] * count)
    return f"INSERT{verb} INTO {table} ({columns}) VALUES {rows}{end}"


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
    match target:
        case models.DateTimeField():
            return time_converter(connection)
        case models.IntegerField() if target is not field:
            return int
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


def _table(connection: BaseDatabaseWrapper, model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _fields(model: type[models.Model], names: Iterable[str]) -> list[models.Field]:
    by_name = {field.attname: field for field in model._meta.concrete_fields}
    return [by_name[name] for name in names]


def _quoted(connection: BaseDatabaseWrapper, fields: list[models.Field]) -> list[str]:
    return [connection.ops.quote_name(str(field.column)) for field in fields]
