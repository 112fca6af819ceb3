"""SQL that people write: fenced in, run once, fetched whole.

Rules of this room: a statement reads or is refused. Four fences, each enough by itself: the
connection is opened read-only, `query_only` is on, an authorizer allows SELECT alone, and one
call runs one statement. A deadline ends what would keep a writer waiting.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tensorcache.errors import BadQuery, TensorCacheError
from tensorcache.index.file import IndexFile

DEADLINE_SECONDS = 5.0  # shorter than a writer's patience
MAX_ROWS = 100_000
MAX_VALUE_BYTES = 8 << 20  # an identity text is 1 MiB at most

_ALLOWED = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
_HIDDEN_FROM_PEOPLE = {
    sqlite3.SQLITE_AUTH: "only SELECT is allowed here",
    sqlite3.SQLITE_TOOBIG: f"a value is larger than {MAX_VALUE_BYTES} bytes",
}
_OF_THE_FILE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    }
)
_WORDS = re.compile(  # a "word" is group 1; whatever else could hold a quote is passed over
    r"""'(?:[^']|'')*' | "((?:[^"]|"")*)" | `[^`]*` | \[[^\]]*\] | --[^\n]* | /\*.*?(?:\*/|\Z)""",
    re.DOTALL | re.VERBOSE,
)

Params = Sequence[Any] | Mapping[str, Any]


class Table(NamedTuple):
    """What a query gave; `warnings` are for people, one line each."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    warnings: tuple[str, ...]


def run(
    file: IndexFile, sql: str, params: Params, *, deadline_seconds: float, max_rows: int
) -> Table:
    """What `sql` selects.

    Raises:
        BadQuery: it is wrong, is more than one statement, writes, or ran into the deadline.
        LeaseTimeout, EntryCorrupt, ReadOnlyCache: the index cannot be read now.
    """
    with (
        file.translated(),
        contextlib.closing(file.reader(deadline_seconds)) as connection,
    ):
        _fence(connection, deadline_seconds)
        try:
            cursor = connection.execute(sql, params)
            rows = cursor.fetchmany(max_rows + 1)
            warnings = list(_mistaken_words(connection, sql, params))
        except (sqlite3.Error, sqlite3.Warning, ValueError, TypeError, OverflowError) as error:
            raise _bad_query(file, connection, error, deadline_seconds) from error
        if cursor.description is None:
            raise BadQuery(f"{sql!r:.80} is no statement: write SELECT …")
        if len(rows) > max_rows:
            warnings.append(f"only the first {max_rows} rows are shown: add a LIMIT or a WHERE")
        names = tuple(column[0] for column in cursor.description)
        return Table(names, rows[:max_rows], tuple(warnings))


def _fence(connection: sqlite3.Connection, deadline_seconds: float) -> None:
    def allow(action: int, _first: str | None, second: str | None, *_: str | None) -> int:
        loads = action == sqlite3.SQLITE_FUNCTION and second == "load_extension"
        return sqlite3.SQLITE_OK if action in _ALLOWED and not loads else sqlite3.SQLITE_DENY

    end = time.monotonic() + deadline_seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, 1000)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.set_authorizer(allow)


def _mistaken_words(connection: sqlite3.Connection, sql: str, params: Params) -> Iterator[str]:
    """A line for each double-quoted word that SQLite took for a string, there being no such column.

    In backticks a word can be nothing but a name, so whatever fails to compile then was a string.
    """
    for word in _WORDS.finditer(sql):
        if word[1] is None:
            continue
        strict = word[1].replace('""', '"').replace("`", "``")
        try:
            connection.execute(
                f"EXPLAIN {sql[: word.start()]}`{strict}`{sql[word.end() :]}", params
            )
        except sqlite3.OperationalError as error:
            if "no such column" in str(error):
                yield f"{word[0]} is no column and was read as a string: write '{word[1]}' for one"


def _bad_query(
    file: IndexFile, connection: sqlite3.Connection, error: Exception, deadline_seconds: float
) -> TensorCacheError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _OF_THE_FILE:
        return file.translate(error)
    if code == sqlite3.SQLITE_INTERRUPT:
        return BadQuery(f"the query ran for more than {deadline_seconds:g} s: narrow it")
    message = _HIDDEN_FROM_PEOPLE.get(code, str(error))
    if message.startswith("no such table"):
        found = connection.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY type, name"
        )
        message += ": there are " + ", ".join(f'"{name}"' for (name,) in found)
    return BadQuery(message)
