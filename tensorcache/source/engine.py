"""SQLite and DuckDB files, read through their own engines for their logical identity.

Rules of this room: nothing is ever written to a database; all is read in one transaction. Both
engines have cursors, quote names alike and tell of columns by `pragma_table…('name')`.

SQLite locks nobody out for long: in WAL mode a reader is in no writer's way; in rollback mode a
writer may have to wait with its commit until the table is read. A database in WAL mode whose `-wal`
holds nothing is opened as `immutable`, which needs no lock and makes no file, and works on a disk
that cannot be written; SQLite would otherwise leave an empty `-wal` and a `-shm`. Where the `-wal`
holds something and its `-shm` is gone, SQLite makes the `-shm` anew, as for every reader.

DuckDB's views and queries may read other files, which no stat of ours would show. They are read
with `enable_external_access` off. That setting is of the instance, which all connections of a
process to one file share, and it cannot be set back: so the instance must be ours alone, and while
somebody else in this process has the file open, views and queries cannot be identified. Tables can.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from tensorcache.errors import UnkeyableValue
from tensorcache.manifest import Parts
from tensorcache.source.content import reading
from tensorcache.source.database import Database
from tensorcache.source.image import is_hot
from tensorcache.source.logical import Rows, digested
from tensorcache.source.memory import Stat, Stats, printable
from tensorcache.source.wal import committed

_PATIENCE_SECONDS = 1.0  # for a lock; it is asked for a few times
_NOT_NOW = (5, 6, 8, 10, 14)  # SQLite's codes: busy, locked, read-only, i/o error, cannot open
# What Python's types are too coarse for: a month is 30 days there, a nanosecond nothing, infinity
# the last day. Their text is exact, also within lists and structs.
_COARSE = ("INTERVAL", "TIMESTAMP", "TIME_NS", "DATE")
_NEVER_EXACT = ("UNION(", "VARIANT")  # whose text does not say which member or type it is
# What Python gives for infinity is refused as a value.
_COARSE_IN_QUERIES = ("INTERVAL", "TIMESTAMP_NS", "TIME_NS", *_NEVER_EXACT)
_TABLES = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
)
# SQLite would take a name in any case of letters.
_THERE = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name = ?"
_CATALOGUE = (
    "SELECT table_catalog, table_schema, table_name, table_type <> 'BASE TABLE' "
    "FROM information_schema.tables WHERE table_catalog = current_database()"
)
_COLUMNS = {"sqlite": "pragma_table_xinfo", "duckdb": "pragma_table_info"}


class FileEngine(NamedTuple):
    """A file that is open; `execute` gives a cursor."""

    kind: str
    execute: Callable[..., Any]

    def tables(self) -> list[str]:
        """The names of all tables that people made; with its schema where that is not `main`."""
        if self.kind == "sqlite":
            return [name for (name,) in self.execute(_TABLES).fetchall()]
        return [name for name, (_, is_view) in self._catalogue().items() if not is_view]

    def has_view(self, names: Sequence[str]) -> bool:
        """Whether one of `names` is a view of DuckDB's."""
        catalogue = self._catalogue()
        return any(catalogue[name][1] for name in names if name in catalogue)

    def _catalogue(self) -> dict[str, tuple[str, bool]]:
        """DuckDB's tables and views by name: how SQL names each, and whether it is a view.

        A name with a dot in it is quoted, so that `a.b` is nothing but the table b of the schema a.
        """
        found = {}
        for *path, is_view in self.execute(_CATALOGUE).fetchall():
            said = [_quoted(name) if set(name) & {".", '"'} else name for name in path[1:]]
            name = ".".join(said[1:] if path[1] == "main" else said)
            found[name] = ".".join(map(_quoted, path)), is_view
        return found

    def _path(self, name: str) -> str | None:
        if self.kind == "sqlite":
            return _quoted(name) if self.execute(_THERE, [name]).fetchall() else None
        return self._catalogue().get(name, (None, False))[0]

    def table(self, name: str) -> Rows | None:
        """A table or view, by its primary key and then by the rest, which decides where it is null.

        An engine knows that a key is unique, and sorts no further.
        """
        path = self._path(name)
        if path is None:
            return None
        info = self.execute(
            f"SELECT * FROM {_COLUMNS[self.kind]}(?)",  # noqa: S608 - a constant
            [name if self.kind == "sqlite" else path],
        ).fetchall()
        # (place, name, type, not null, default, place in the key, hidden): 1 is a virtual table's
        shown = [row for row in info if row[6:7] != (1,)]
        columns = [(row[1], row[2]) for row in shown]
        key = sorted((row for row in shown if row[5]), key=lambda row: int(row[5]))
        order = [*(row[1] for row in key), *(row[1] for row in shown if not row[5])]
        self._check(columns, _NEVER_EXACT, f"the table {name!r}")
        # SQLite's five types come as they are, whatever a column is declared to be.
        coarse = _COARSE if self.kind == "duckdb" else ()
        taken = ", ".join(
            f"CAST({_quoted(column)} AS VARCHAR)" if _has(kind, coarse) else _quoted(column)
            for column, kind in columns
        )
        # A column's own collation may find rows equal that are not, but is the order of its key.
        rest = " COLLATE BINARY" if self.kind == "sqlite" else ""
        by = ", ".join(_quoted(column) + rest * (i >= len(key)) for i, column in enumerate(order))
        cursor = self.execute(f"SELECT {taken} FROM {path} ORDER BY {by}")  # noqa: S608 - quoted
        return Rows(columns, cursor.fetchmany)

    def query(self, text: str) -> Rows:
        """A query in its own order; only DuckDB knows the types of its columns."""
        columns = [("", "")]
        if self.kind == "duckdb":
            columns = [(row[0], row[1]) for row in self.execute(f"DESCRIBE {text}").fetchall()]
        self._check(columns, _COARSE_IN_QUERIES, f"the query {text!r:.80}")
        cursor = self.execute(text)
        if self.kind == "sqlite":
            columns = [(column[0], "") for column in cursor.description or ()]
        return Rows(columns, cursor.fetchmany)

    def _check(self, columns: list[tuple[str, str]], refused: Sequence[str], what: str) -> None:
        for name, kind in columns if self.kind == "duckdb" else ():
            if _has(kind, refused):
                remedy = "cast it to VARCHAR"
                if _has(kind, _NEVER_EXACT):
                    remedy = "use queries= with union_tag() or variant_typeof() beside its VARCHAR"
                raise UnkeyableValue(
                    f"{what}: its column {name!r} is a {kind:.80}, which Python has no exact form "
                    f"for: {remedy}"
                )


def _has(kind: str, words: Sequence[str]) -> bool:
    return any(word in kind for word in words)


def file_text(
    kind: str, path: str, source: Database, stats: Stats, look: Callable[[], Stats]
) -> tuple[str, Parts] | None:
    """The logical identity of a file and its tables; None while a commit is under way.

    `stats` are what `look` saw before: of the file, its `-wal`, `.wal` and `-journal`.

    Raises:
        SourceMissing: no such table.
        UnkeyableValue: a query that is wrong, a damaged file, a value without an exact form.
        OSError: it cannot be read now.
    """
    if kind == "sqlite" and is_hot(path, stats[3]):
        return None
    quiet = kind == "sqlite" and not _size(stats[1]) and _is_in_wal_mode(path)
    opened = _sqlite(path, source, quiet=quiet) if kind == "sqlite" else _duckdb(path, source)
    with opened as engine:
        if engine is None:
            return None
        where = f"database {printable(path)!r}"
        digest, parts = digested(engine, where, source.tables, source.queries)
    if quiet and look() != stats:
        raise OSError(errno.EBUSY, "a writer came while it was read", path)
    return f"{kind}-logical-1:blake3:{digest}", parts


@contextmanager
def _sqlite(path: str, source: Database, *, quiet: bool) -> Iterator[FileEngine | None]:
    import sqlite3  # 10 ms, that a remembered database does not spend
    from urllib.parse import quote

    uri = f"file:{quote(os.fsencode(path))}?mode=ro{'&immutable=1' * quiet}"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=_PATIENCE_SECONDS, isolation_level=None)
        try:
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()  # makes or mends a -shm
            if not quiet and not _is_published(path):
                yield None
                return
            connection.execute("BEGIN")
            yield FileEngine("sqlite", connection.execute)
        finally:
            connection.close()
    except (sqlite3.Error, sqlite3.Warning) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        writes = code == sqlite3.SQLITE_READONLY and source.queries
        if code in _NOT_NOW and not writes:
            raise OSError(errno.EBUSY, f"{error}", path) from error
        raise UnkeyableValue(
            f"database {printable(path)!r}: {error}: mend the query or file, or use level='bytes'"
        ) from error


def _is_published(path: str) -> bool:
    """Whether readers see all commits that the `-wal` holds.

    A writer writes its commit, waits for the disk, and then tells of it in the `-shm`. In between
    SQLite shows the state before, and the stats that would be remembered with it are already those
    of the state after. The -shm: https://www.sqlite.org/walformat.html, section 2.1.
    """
    try:
        with reading(f"{path}-wal") as wal, reading(f"{path}-shm") as shm:
            overlay, salts = committed(path, wal), os.pread(wal, 8, 16)
            head = os.pread(shm, 40, 0)
    except FileNotFoundError:
        return True
    if overlay is None or len(head) < 40 or head[32:40] != salts:
        return True  # nothing in it, or all of it is in the main file and it is begun anew
    frames = (int(overlay.offsets.max()) - 56) // (24 + overlay.page_bytes) + 1
    return frames <= int(struct.unpack_from("=I", head, 16)[0])


@contextmanager
def _duckdb(path: str, source: Database) -> Iterator[FileEngine]:
    try:
        import duckdb  # not everybody has it, and a remembered database does not need it
    except ImportError:
        raise UnkeyableValue(
            f"database {printable(path)!r} is DuckDB's, and level='logical' reads it through its "
            "client: pip install duckdb, or use level='bytes'"
        ) from None

    @contextmanager
    def opened(**config: Any) -> Iterator[FileEngine]:
        connection = duckdb.connect(path, read_only=True, config=config)
        try:
            connection.execute("SET SESSION TimeZone = 'UTC'")  # the text of an instant has one
            connection.execute("BEGIN")
            yield FileEngine("duckdb", connection.execute)
        finally:
            connection.close()

    try:
        is_outward = bool(source.queries)
        if source.tables:
            with opened() as engine:
                is_outward = engine.has_view(source.tables)
        with opened(**({"enable_external_access": "false"} if is_outward else {})) as engine:
            yield engine
    except duckdb.PermissionException as error:
        raise UnkeyableValue(
            f"database {printable(path)!r}: a view or query reads outside the database: name its "
            "files as files(...), and read them in the build"
        ) from error
    except (duckdb.IOException, duckdb.ConnectionException) as error:  # open elsewhere, see above
        raise OSError(errno.EBUSY, str(error).partition("\n")[0], path) from error
    except duckdb.Error as error:
        line = str(error).partition("\n")[0]
        raise UnkeyableValue(f"database {printable(path)!r}: {line}: mend the query") from error


def _is_in_wal_mode(path: str) -> bool:
    with reading(path) as file:
        return os.pread(file, 2, 18) == b"\x02\x02"


def _size(stat: Stat | None) -> int:
    return 0 if stat is None else stat[2]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
