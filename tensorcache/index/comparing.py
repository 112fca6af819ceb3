"""What rows are compared by with a root: generations, pieces, and a mark of the file itself.

Rules of this room: read whole and small, for there may be a million entries. The mark is SQLite's
`user_version`, a number of its own that every change of entries replaces (`Marks`), so that no
older copy of the file has the mark of the last one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import sqlalchemy as sa

from tensorcache import schema
from tensorcache.index.file import IndexFile


class Marks(Protocol):
    """Who remembers the mark of the file, before a change is made and after it."""

    def next(self, its: int, /) -> int | None:
        """The mark that the file gets with a change; None where its own is not the last one."""

    def took(self, new: int, /) -> None:
        """It has that mark now."""


def stamps(index: IndexFile) -> dict[str, tuple[int, int]]:
    """Of the manifest of every key: its bytes, and its mtime in ns (`Manifest.mtime_ns`)."""
    entry = schema.entry.c
    whole = len("2026-11-28 12:00:00")  # alone, for SQLite rounds times to the millisecond
    seconds = sa.func.strftime("%s", sa.func.substr(entry.created_at, 1, whole))
    micros = sa.func.substr(entry.created_at, whole + 2)
    mtime_ns = sa.cast(seconds.concat(micros).concat("000"), sa.Integer)
    asked = sa.select(entry.key, sa.cast(entry.manifest_bytes, sa.Integer), mtime_ns)
    with index.reading() as connection:
        return {key: (size_bytes, mtime) for key, size_bytes, mtime in raw(connection, asked)}


def raw(connection: sa.Connection, statement: sa.Select[Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement without parameters as SQLite gives them: a third of the time.

    Times are text, and what is to be a number is one only by a CAST.
    """
    text = statement.compile(connection, compile_kwargs={"literal_binds": True})
    driver: Any = connection.connection.driver_connection
    return iter(driver.execute(str(text)))


def digests(index: IndexFile, prefix: str) -> set[str]:
    """The digests of pieces that begin with `prefix`."""
    digest = schema.shard.c.digest
    asked = sa.select(digest).where(digest >= prefix, digest < prefix + "g")  # after any digit
    with index.reading() as connection:
        return set(connection.scalars(asked))


def mark(index: IndexFile) -> int:
    """The mark of the file, 0 where it has none yet."""
    with index.reading() as connection:
        return mark_of(connection)


def set_mark(index: IndexFile, new: int) -> None:
    """Give the file a mark, which every change replaces then."""
    with index.writing() as connection:
        connection.exec_driver_sql(f"PRAGMA user_version = {new:d}")


def mark_of(connection: sa.Connection) -> int:
    """The mark of the file, as its transaction sees it."""
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar() or 0)
