"""Databases behind a URL, through SQLAlchemy Core: their logical identity.

Rules of this room: one read-only transaction in which everything is one state (REPEATABLE READ);
rows are streamed; nothing is remembered, for there is no stat. A URL may hold a password, and
errors of drivers and their causes may hold the URL: what is raised here is one line without it, and
has no cause. Other dialects than PostgreSQL work as far as they know that isolation.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from tensorcache.errors import UnkeyableValue
from tensorcache.source.database import Database
from tensorcache.source.identity import Identity, shown
from tensorcache.source.logical import Rows, digested

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, CursorResult

_BUFFERED_ROWS = 1000
# What drivers give exactly, as SQLAlchemy names it. All else is taken as the text that PostgreSQL
# has for it: JSON has floats in Python, an array loses its lower bounds, a month is 30 days.
_PLAIN = (
    "BIGINT", "BOOLEAN", "BYTEA", "CHAR", "DOUBLE PRECISION", "INTEGER", "NUMERIC", "REAL",
    "SMALLINT", "TEXT", "UUID", "VARCHAR",
)  # fmt: skip
_JSON = (114, 199, 3802, 3807)  # the types json, json[], jsonb and jsonb[]
_TEXT_SETTINGS = {  # what PostgreSQL's text depends on; digits: all that a float has
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "3",
}


class ServerEngine:
    """A database that is open, in one state."""

    def __init__(self, connection: Connection) -> None:
        import sqlalchemy  # the caller has it already

        self._connection = connection
        self._inspector = sqlalchemy.inspect(connection)
        self._is_postgresql = connection.dialect.name == "postgresql"

    def tables(self) -> list[str]:
        """The tables of the schema that the connection is in."""
        return self._inspector.get_table_names()

    def table(self, name: str) -> Rows | None:
        """A table or view, `schema.table` if it is elsewhere.

        In the order of its primary key; else of all columns as text, which every type has. Text is
        sorted by its code points, for the collations of two servers differ.
        """
        import sqlalchemy as sa  # the caller has it already

        schema = None
        if not self._inspector.has_table(name):
            schema, _, last = name.rpartition(".")
            if not schema or not self._inspector.has_table(last, schema):
                return None
            name = last
        columns = [
            (column["name"], str(column["type"]))
            for column in self._inspector.get_columns(name, schema)
        ]
        key = self._inspector.get_pk_constraint(name, schema)["constrained_columns"]
        # Without types, so that rows come as the driver has them, and months stay months.
        plain: dict[str, Any] = {column: sa.column(column) for column, _ in columns}
        taken = [
            plain[column] if self._is_plain(kind) else sa.cast(plain[column], sa.Text).label(column)
            for column, kind in columns
        ]
        as_text = {
            column for column, kind in columns if "CHAR" in kind.upper() or "TEXT" in kind.upper()
        }
        order = [
            self._by_code_points(plain[column]) if not key or column in as_text else plain[column]
            for column in key or plain
        ]
        query = sa.select(*taken).select_from(sa.table(name, schema=schema)).order_by(*order)
        return Rows(columns, _plain_rows(self._connection.execute(query)))

    def query(self, text: str) -> Rows:
        """A query as it is written, `:` and `%` too."""
        result = self._connection.exec_driver_sql(text, execution_options={"no_parameters": True})
        for column in result.cursor.description if self._is_postgresql and result.cursor else ():
            if column[1] in _JSON:
                raise UnkeyableValue(
                    f"the query {text!r:.80}: its column {column[0]!r} is JSON, whose numbers and "
                    "keys Python does not keep: cast it to text"
                )
        return Rows([(name, "") for name in result.keys()], _plain_rows(result))  # noqa: SIM118 - no dict

    def _is_plain(self, kind: str) -> bool:
        return not self._is_postgresql or kind.partition("(")[0] in _PLAIN

    def _by_code_points(self, column: Any) -> Any:
        import sqlalchemy as sa  # the caller has it already

        text = sa.cast(column, sa.Text)
        return sa.collate(text, "C") if self._is_postgresql else text


def _plain_rows(result: CursorResult[Any]) -> Callable[[int], list[Any]]:
    return lambda count: list(map(tuple, result.fetchmany(count)))


def server_identity(source: Database) -> Identity:
    """What the database behind a URL is now.

    Raises:
        SourceMissing: no such table.
        UnkeyableValue: a URL, driver or query that is wrong, a value that has no exact form.
    """
    import sqlalchemy as sa  # 0.2 s, that only a database behind a URL spends

    where = shown(source.path)
    url = _parsed(source)
    kind = url.get_backend_name()
    try:
        with _connected(url) as connection:
            engine = ServerEngine(connection)
            name = f"database {where!r}"
            digest, parts = digested(engine, name, source.tables, source.queries)
        return Identity(f"{kind}-logical-1:blake3:{digest}", "", kind, where, None, parts)
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        why = f"{where} cannot be read: {_line(error, url)}"
        return Identity(None, why, kind, where, None)
    except sa.exc.SQLAlchemyError as error:
        said = _line(error, url)
    except ImportError as error:
        said = f"{error.name} is not installed: pip install 'tensorcache[postgresql]' or its driver"
    raise UnkeyableValue(f"database {where!r}: {said}")


def _parsed(source: Database) -> URL:
    import sqlalchemy as sa  # the caller has it already

    url = None
    with contextlib.suppress(sa.exc.ArgumentError, ValueError):  # both say the URL
        url = sa.make_url(source.path)
    if url is None or "@" in (url.host or ""):
        raise UnkeyableValue(
            f"database {shown(source.path)!r}: it is no URL: write it as in "
            "'postgresql+psycopg://user:password@host/name', with %40 for an @ in the password"
        )
    if url.get_backend_name() in ("sqlite", "duckdb"):
        raise UnkeyableValue(
            f"database {shown(source.path)!r}: it is a file: pass its path, so that a few stats "
            "tell that it did not change"
        )
    return url


@contextlib.contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    import sqlalchemy as sa  # the caller has it already

    with sa.create_engine(url, poolclass=sa.NullPool).connect() as opened:
        connection = opened.execution_options(
            isolation_level="REPEATABLE READ",
            postgresql_readonly=True,
            stream_results=True,
            max_row_buffer=_BUFFERED_ROWS,
        )
        is_postgresql = url.get_backend_name() == "postgresql"
        for setting, value in _TEXT_SETTINGS.items() if is_postgresql else ():
            connection.execute(sa.select(sa.func.set_config(setting, value, True)))
        yield connection


def _line(error: Exception, url: URL) -> str:
    """What went wrong in one line, without SQL and without what is secret in the URL."""
    cause = getattr(error, "orig", None) or error
    said = " ".join(str(cause).split())
    secrets = {str(url.password or "")}
    secrets |= {str(value) for key, value in url.query.items() if key not in ("host", "port")}
    secrets |= {quoted(secret) for secret in secrets for quoted in (quote, quote_plus)}
    if any(secret in said for secret in secrets - {""}):
        return f"{type(cause).__name__}, which quotes what is secret in the URL"
    for user in {url.username or "", quote(url.username or "")} - {""}:
        said = re.sub(rf"(?<!\w){re.escape(user)}(?!\w)", "…", said)  # it may be a part of any word
    return f"{said:.400}"
