"""IndexFile: the SQLite file opened, made, upgraded and checked; its errors translated.

Rules of this room: no connection outlives a call, so a forked child inherits none. The file is
opened through SQLite only: any other open and close of it would drop SQLite's locks in this
process. A transaction begins IMMEDIATE, so that it waits before it reads rather than fails after.
The journal is a rollback journal: SQLite 3.7.0 to 3.51.2 can corrupt a file in WAL mode, and WAL
cannot be read on a full or read-only disk. No error of SQLite or SQLAlchemy leaves this room.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import sqlite3
import stat
import sys
import urllib.parse
from collections.abc import Iterator

import sqlalchemy as sa

from tensorcache import schema
from tensorcache.errors import (
    CacheFull,
    CacheTooNew,
    EntryCorrupt,
    LeaseTimeout,
    ReadOnlyCache,
    TensorCacheError,
)
from tensorcache.index import revisions, sums
from tensorcache.index.connection import Connection, engine_of, in_memory, interrupt_behind
from tensorcache.index.view import SCHEMA, views_wanted

PATIENCE_SECONDS = 15.0  # of a writer: longer than any read may take
FEW_FREE = 0.05  # of all pages
SQLITE = sqlite3.sqlite_version_info
SIDES = ("-journal", "-wal", "-shm")  # what SQLite keeps beside a database, by its ending


class IndexCorrupt(EntryCorrupt):
    """The file is no index of ours; told apart from an entry that is broken."""


_BUSY = (LeaseTimeout, "another process holds it: end that one, or try again")
_ROTTEN = (
    IndexCorrupt,
    "it is rebuilt from the manifests at the next write, or by tensorcache reindex",
)
_FAILURES: dict[int, tuple[type[TensorCacheError], str]] = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_FULL: (CacheFull, "free some space, or run tensorcache vacuum"),
    sqlite3.SQLITE_IOERR: (TensorCacheError, "check the disk that it lies on"),
    sqlite3.SQLITE_READONLY: (ReadOnlyCache, "open the cache once where it can be written"),
    sqlite3.SQLITE_PERM: (ReadOnlyCache, "check the permissions of its directory"),
    sqlite3.SQLITE_CANTOPEN: (ReadOnlyCache, "check its permissions and the open-files limit"),
    sqlite3.SQLITE_CORRUPT: _ROTTEN,
    sqlite3.SQLITE_NOTADB: _ROTTEN,
    sqlite3.SQLITE_CONSTRAINT: _ROTTEN,  # rows that are not what we wrote
    sqlite3.SQLITE_ERROR: _ROTTEN,  # no such table, no such column: not our schema
}
# The others are what decoding raises of a value of a kind that we never wrote.
_RAISED = (sqlite3.Error, sa.exc.SQLAlchemyError, ValueError, TypeError, OverflowError)


class IndexFile:
    """The file at `path`. Making this object touches nothing; a missing file reads as empty."""

    def __init__(
        self, path: str, *, read_only: bool = False, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._path = os.path.abspath(path)
        self._read_only = read_only
        self._patience_seconds = patience_seconds

    def revision(self) -> str | None:
        """The revision of the file, None if it is yet to be made.

        Raises:
            EntryCorrupt: the file is no SQLite database.
        """
        with self.translated(), contextlib.closing(self.reader()) as connection:
            return _revision(connection)

    def refuse_newer(self) -> None:
        """Do nothing, unless the index has a revision that only a newer tensorcache knows.

        Raises:
            CacheTooNew: it has.
            EntryCorrupt: the file is no SQLite database.
        """
        revision = self.revision()
        if revision is not None and not revision.isdecimal():
            raise IndexCorrupt(f"index {self._path!r} has revision {revision!r:.40}: {_ROTTEN[1]}")
        if revision is not None and revision > schema.HEAD:
            raise CacheTooNew(
                f"index {self._path!r} has revision {revision}, this tensorcache knows "
                f"{schema.HEAD}: upgrade tensorcache"
            )

    def prepare(self) -> bool:
        """Make the tables or bring them up to HEAD, in one transaction; True if they were made.

        Raises:
            CacheTooNew: a newer tensorcache made the index.
            EntryCorrupt: the file is no index; move it aside with its `-journal`, and call again.
        """
        revision = self.revision()
        if revision == schema.HEAD:
            return False
        self._refuse_read_only()
        self.refuse_newer()
        # Foreign keys stay unenforced here: Alembic's batch mode drops a table to change it, and
        # that would take the rows of its children along.
        engine = engine_of(lambda: self._connect("rwc", *_WRITING))
        with self.translated(upgrading=True), engine.begin() as connection:
            if revision is not None:
                revisions.upgrade(connection, revisions.migrations())
            elif connection.exec_driver_sql(SCHEMA).first():
                raise IndexCorrupt(f"index {self._path!r} holds other tables: {_ROTTEN[1]}")
            else:
                revisions.make(connection)
        return revision is None

    def check(self) -> list[str]:
        """What is wrong with the file, its schema and its sums, a line each; no manifest is read.

        Raises:
            LeaseTimeout, ReadOnlyCache, TensorCacheError: it cannot be read, which tells nothing.
        """
        try:
            revision = self.revision()
            with self.reading() as connection:
                problems = [
                    f"index: {row[0]}"
                    for row in connection.exec_driver_sql("PRAGMA integrity_check(100)")
                    if row[0] != "ok"
                ]
                problems += [
                    f"index: a row of {child!r} refers to no row of {parent!r}"
                    for child, _, parent, _ in connection.exec_driver_sql(
                        "PRAGMA foreign_key_check"
                    )
                ]
                found = {name: text for _, name, text in connection.exec_driver_sql(SCHEMA)}
                wanted = dict(views_wanted(connection, found))
                if revision == schema.HEAD:
                    problems += itertools.islice(sums.faults(connection), 100)
            if revision is None and "alembic_version" in found:
                problems.append("index: it tells no revision")
            if revision != schema.HEAD:  # empty, or the business of prepare
                return problems
            wanted |= revisions.made(revisions.migrations())
        except IndexCorrupt as error:
            return [str(error)]
        for name in sorted(found.keys() | wanted.keys()):
            if found.get(name) != wanted.get(name):
                what = "missing" if name not in found else "foreign" if name not in wanted else ""
                problems.append(f"index: {name!r} is {what or 'not as it was made'}")
        return problems

    def quick_check(self) -> list[str]:
        """What SQLite finds wrong with the pages of the file, a line each; it costs one read.

        Raises:
            EntryCorrupt, LeaseTimeout, ReadOnlyCache: it cannot be read at all.
        """
        with self.reading() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(10)")
            return [str(line) for (line,) in found if line != "ok"]

    def compact(self) -> int:
        """Give free pages back, if they are many (SQLite's VACUUM); how many bytes that saved."""
        self._refuse_read_only()
        with self.translated(), contextlib.closing(self.writer()) as connection:
            before = _size_bytes(connection)
            if _size_bytes(connection, "freelist_count") < before * FEW_FREE:
                return 0
            connection.execute("VACUUM")
            return before - _size_bytes(connection)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One snapshot, read-only."""
        with self.translated(), self._readers.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction; the caller holds the root lock."""
        self._refuse_read_only()
        with self.translated(), self._writers.begin() as connection:
            yield connection

    def reader(self, patience_seconds: float = math.inf) -> sqlite3.Connection:
        """A connection that cannot write, to an empty index in memory where none is made yet.

        It waits no longer than `patience_seconds`, nor than this object does.
        """
        if self._is_plain() is None:
            return _empty()
        try:
            connection = self._connect("ro", *_READING, patience_seconds=patience_seconds)
        except sqlite3.Error as error:
            unfinished = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_ROLLBACK
            if self._read_only or not unfinished:
                raise
            # A writer died in its commit: only a connection that may write can roll it back.
            self._connect("rw").close()
            connection = self._connect("ro", *_READING, patience_seconds=patience_seconds)
        try:
            if connection.execute(SCHEMA).fetchone():
                return connection
        except BaseException:  # a writer may have begun since the first look
            connection.close()
            raise
        connection.close()
        return _empty()

    @contextlib.contextmanager
    def translated(self, *, upgrading: bool = False) -> Iterator[None]:
        """Raise what SQLite and SQLAlchemy raise as errors of this library."""
        handled = sys.exception()
        try:
            yield
        except TensorCacheError:
            raise
        except Exception as error:
            if (cut := interrupt_behind(error, handled)) is not None:
                raise cut from None
            if isinstance(error, _RAISED):
                raise self.translate(error, upgrading=upgrading) from error
            raise

    def translate(self, error: Exception, *, upgrading: bool = False) -> TensorCacheError:
        """The error of this library that says what `error` says.

        That an older index lacks what it is asked for is no rot, but where it is `upgrading`.
        """
        cause = (error.orig if isinstance(error, sa.exc.DBAPIError) else None) or error
        # What has no code was found while decoding: a text that is no date, or no UTF-8.
        code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if os.path.isdir(self._path):
            code = sqlite3.SQLITE_NOTADB
        if code == sqlite3.SQLITE_CANTOPEN and _lacks_inodes(self._path):
            code = sqlite3.SQLITE_FULL
        kind, remedy = _FAILURES.get(code, (TensorCacheError, "this is a bug: please report it"))
        revision = self._revision_if_any() if code == sqlite3.SQLITE_ERROR else ""
        if revision > schema.HEAD:
            kind, remedy = CacheTooNew, "a newer tensorcache made it: upgrade tensorcache"
        elif "" < revision < schema.HEAD and not upgrading:
            kind, remedy = ReadOnlyCache, "it is older: the next write upgrades it"
        return kind(f"index {self._path!r}: {str(cause).lower()}: {remedy}")

    def _revision_if_any(self) -> str:
        try:
            with contextlib.closing(self.reader()) as connection:
                revision = _revision(connection) or ""
        except (sqlite3.Error, TensorCacheError):
            return ""
        return revision if revision.isdecimal() else ""

    def _is_plain(self, ending: str = "") -> bool | None:
        """Whether it (or its journal) is a plain file, None where nothing is.

        Raises:
            TensorCacheError: that cannot be told now (EIO), which is no evidence of either.
        """
        try:
            return stat.S_ISREG(os.lstat(self._path + ending).st_mode)
        except FileNotFoundError:
            return None
        except OSError as error:
            kind, remedy = _FAILURES[sqlite3.SQLITE_IOERR]
            raise kind(f"index {self._path!r}: {error.strerror}: {remedy}") from error

    def _refuse_read_only(self) -> None:
        if self._read_only:
            raise ReadOnlyCache(f"index {self._path!r} is open for reading only: use mode='rw'")

    @property
    def _readers(self) -> sa.Engine:
        return _engines(self._path, self._read_only, self._patience_seconds)[0]

    @property
    def _writers(self) -> sa.Engine:
        return _engines(self._path, self._read_only, self._patience_seconds)[1]

    def writer(self) -> sqlite3.Connection:
        """A connection that can write; the caller holds the root lock."""
        return self._connect("rw", *_WRITING, "foreign_keys = ON")

    def _connect(
        self, mode: str, *pragmas: str, patience_seconds: float = math.inf
    ) -> sqlite3.Connection:
        for ending in ("", *SIDES):
            if self._is_plain(ending) is False:
                # SQLite would wait for the other end of a pipe for ever, and follow any link.
                raise IndexCorrupt(f"index {self._path + ending!r} is no plain file: {_ROTTEN[1]}")
        uri = f"file:{urllib.parse.quote(os.fsencode(self._path))}?mode={mode}"
        patience = min(self._patience_seconds, patience_seconds)
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, timeout=patience, factory=Connection
        )
        try:
            for pragma in ("cell_size_check = ON", "temp_store = MEMORY", *pragmas):
                connection.execute(f"PRAGMA {pragma}")
            # The first look at the file itself. Indexes over inputs need json_extract, which SQLite
            # before 3.41 trusts no schema with: ours is trusted, but not one with a trigger.
            if not connection.execute(f"{SCHEMA} AND type = 'trigger'").fetchone():
                connection.execute("PRAGMA trusted_schema = ON")
        except BaseException:
            connection.close()
            raise
        return connection


_READING = ("query_only = ON",)
# A planted trigger may call nothing that has effects. (Views need json_extract: not when reading.)
_WRITING = ("journal_mode = TRUNCATE", "synchronous = FULL", "trusted_schema = OFF")


def _empty() -> sqlite3.Connection:
    connection = in_memory()
    try:
        for statement in (*schema.empty_tables(), "PRAGMA query_only = ON"):
            connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def _revision(connection: sqlite3.Connection) -> str | None:
    if not connection.execute(f"{SCHEMA} AND name = 'alembic_version'").fetchone():
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _lacks_inodes(path: str) -> bool:
    """Whether no file can begin beside `path`, which SQLite does not tell from other reasons."""
    try:
        found = os.statvfs(os.path.dirname(path))
    except OSError:
        return False
    return found.f_files > 0 and found.f_favail == 0  # some filesystems count none


def _size_bytes(connection: sqlite3.Connection, counted: str = "page_count") -> int:
    (pages,) = connection.execute(f"PRAGMA {counted}").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    return int(pages * page_bytes)


@functools.lru_cache(maxsize=32)
def _engines(path: str, read_only: bool, patience_seconds: float) -> tuple[sa.Engine, sa.Engine]:
    """One for reading, one for writing; kept, since an engine keeps the statements it compiled."""
    file = IndexFile(path, read_only=read_only, patience_seconds=patience_seconds)
    return engine_of(file.reader, "BEGIN"), engine_of(file.writer)
