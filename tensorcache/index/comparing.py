"""What rows are compared by with a root: generations, pieces, and a mark of the file itself.

Rules of this room: read whole and small, for there may be a million entries. The mark is SQLite's
`user_version`, a number of its own that every change of entries replaces (`Index.next_mark`), so
that no older copy of the file has the mark of the last one.
"""

from __future__ import annotations

import sqlalchemy as sa

from tensorcache import schema
from tensorcache.index.file import IndexFile


def ends(index: IndexFile) -> dict[str, str]:
    """How the manifest of every key ends: its digest, a colon, and how many bytes it has."""
    entry = schema.entry.c
    end = entry.digest + ":" + sa.cast(entry.manifest_bytes, sa.Text)
    asked = sa.select(entry.key, end)
    with index.reading() as connection:
        rows = connection.execution_options(yield_per=10_000).execute(asked)
        return {key: text for key, text in rows}  # noqa: C416 - rows are no pairs to dict()


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
