"""SQL that people write: fenced in, run once, fetched whole.

Rules of this room: a statement reads or is refused. Four fences, each enough by itself: the
connection is opened read-only, `query_only` is on, an authorizer allows SELECT alone, and one
call runs one statement. A deadline ends what would keep a writer waiting; what SQLite does not end
in the midst of is kept short, see `functions.py`.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tensorcache import schema
from tensorcache.errors import BadQuery, TensorCacheError
from tensorcache.index.file import IndexFile
from tensorcache.index.functions import replace_slow_ones

DEADLINE_SECONDS = 5.0  # shorter than a writer's patience
MAX_ROWS = 100_000
MAX_VALUE_BYTES = 2 << 20  # an identity text is 1 MiB at most

_ALLOWED = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
# Functions: the others take time by the square of what they are given.
_DENIED = frozenset({"load_extension", "unhex", "json_patch", "jsonb_patch"})
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
QUOTED = re.compile(  # a "word" is group 1; whatever else could hold a quote is passed over
    r"""'(?:[^']|'')*' | "((?:[^"]|"")*)" | `[^`]*` | \[[^\]]*\] | --[^\n]* | /\*.*?(?:\*/|\Z)""",
    re.DOTALL | re.VERBOSE,
)

Params = Sequence[Any] | Mapping[str, Any]


Read = set[tuple[str, str]]  # columns, each with its table or view


class Table(NamedTuple):
    """What a query gave; `warnings` are for people, one line each.

    `kinds` are the types of columns that are those of a table or a view, in SQL; of others "".
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    warnings: tuple[str, ...]
    kinds: tuple[str, ...] = ()


def run(
    file: IndexFile,
    sql: str,
    params: Params,
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    max_rows: int = MAX_ROWS,
    known: Mapping[str, str] | None = None,
) -> Table:
    """What `sql` selects; `known` are columns that it can name, with their kinds.

    Raises:
        BadQuery: it is wrong, is more than one statement, writes, or ran into the deadline.
        LeaseTimeout, EntryCorrupt, ReadOnlyCache: the index cannot be read now.
    """
    read: Read = set()
    with (
        file.translated(),
        contextlib.closing(file.reader(deadline_seconds)) as connection,
        _fenced(connection, deadline_seconds, read),
    ):
        try:
            cursor = connection.execute(sql, params)
            rows = cursor.fetchmany(max_rows + 1)
            warnings = list(_mistaken_words(connection, sql, params))
        except (sqlite3.Error, sqlite3.Warning, ValueError, TypeError, OverflowError) as error:
            if "no such column" in str(error):
                raise _no_such_column(connection, sql, str(error), known) from error
            raise _bad_query(file, connection, error, deadline_seconds) from error
        if cursor.description is None:
            raise BadQuery(f"{sql!r:.80} is no statement: write SELECT …")
        if len(rows) > max_rows:
            warnings.append(f"only the first {max_rows} rows are shown: add a LIMIT or a WHERE")
        names = tuple(column[0] for column in cursor.description)
        kinds = known or _kinds(connection, read)
        return Table(
            names, rows[:max_rows], tuple(warnings), tuple(kinds.get(name, "") for name in names)
        )


@contextlib.contextmanager
def _fenced(connection: sqlite3.Connection, deadline_seconds: float, read: Read) -> Iterator[None]:
    """Keep what `connection` runs within its fences; what it reads goes into `read`."""

    def allow(
        action: int, first: str | None, second: str | None, _: str | None, inside: str | None
    ) -> int:
        if action == sqlite3.SQLITE_READ and inside is None and first and second:
            read.add((first, second))
        denied = action == sqlite3.SQLITE_FUNCTION and second in _DENIED
        return sqlite3.SQLITE_OK if action in _ALLOWED and not denied else sqlite3.SQLITE_DENY

    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    replace_slow_ones(connection, MAX_VALUE_BYTES)
    connection.set_authorizer(allow)
    # Not a progress handler, which would count steps, however long they are.
    timer = threading.Timer(deadline_seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # before the connection is closed


def _kinds(connection: sqlite3.Connection, read: Read) -> dict[str, str]:
    """The kinds of the columns that were read, but of those that two tables have of two kinds."""
    kinds: dict[str, set[str]] = {}
    for table, column in sorted(read):  # a copy: to ask for a view is to read, too
        found = schema.TABLE_KINDS.get(table)
        if found is None:
            view = "SELECT sql FROM sqlite_master WHERE type = 'view' AND name = ?"
            (text,) = connection.execute(view, (table,)).fetchone() or ("",)
            found = schema.TABLE_KINDS["entry"] | schema.kinds(schema.leaves_of(text))
        kinds.setdefault(column, set()).add(found.get(column, ""))
    return {column: kind.pop() for column, kind in kinds.items() if len(kind) == 1}


def _no_such_column(
    connection: sqlite3.Connection, sql: str, message: str, known: Mapping[str, str] | None
) -> BadQuery:
    """Its message names those that exist, in what `sql` selects from."""
    connection.set_authorizer(None)  # they are asked for by a PRAGMA
    columns = list(known or ())
    if not columns:
        tables = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
        for (name,) in connection.execute(tables).fetchall():
            if re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", sql):
                info = connection.execute("SELECT name FROM pragma_table_info(?)", (name,))
                columns += [column for (column,) in info]
    return BadQuery(message + (": there are " + ", ".join(columns) if columns else ""))


def _mistaken_words(connection: sqlite3.Connection, sql: str, params: Params) -> Iterator[str]:
    """A line for each double-quoted word that SQLite took for a string, there being no such column.

    In backticks a word can be nothing but a name, so whatever fails to compile then was a string.
    """
    for word in QUOTED.finditer(sql):
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
        names = [name for (name,) in found if name[0] != "_" and name != "alembic_version"]
        message += f": there are {', '.join(map(schema.quoted, names))}"
        if message.split(": ")[1] in names:
            message += "; such a name needs its quotes"
    return BadQuery(message)
