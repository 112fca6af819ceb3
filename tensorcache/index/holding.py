"""What retention weighs: every entry for `vacuum`, or the few that go first for a publication.

Rules of this room: an entry is told in few bytes, for there may be a million. Pieces that others
hold as well are numbered, and told once. A publication reads by indexes alone, and never counts the
holders of a piece beyond `MOST_HOLDERS`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa

from tensorcache import schema
from tensorcache.index.file import IndexFile
from tensorcache.index.sums import where_in
from tensorcache.index.uses import time_of
from tensorcache.manifest import AHEAD_SECONDS, MANIFEST_FORMAT

MOST_HOLDERS = 256  # of a piece: of more, not all can go with one publication
WINDOW = 512  # entries among which a publication chooses
_LOOKED_AT = 8_192  # entries by worth, of which the newest may be too many
_AT_ONCE = 10_000


class Holding(NamedTuple):
    """An entry as retention sees it; times in seconds since 1970.

    `alone_bytes` come back with it alone, its manifest among them. `stays`: it is pinned, or of a
    format that we do not know. `shared` are the numbers of what others hold too.
    """

    key: str
    namespace: str
    created_at: float
    touched_at: float
    worth: float
    stays: bool
    manifest_bytes: int
    alone_bytes: int
    shared: tuple[int, ...] = ()


class Shared(NamedTuple):
    """A piece that several entries hold: its bytes, and how many they are."""

    size_bytes: int
    holders: int


class Holdings(NamedTuple):
    """Entries, and what they share by its number."""

    entries: list[Holding]
    shared: dict[int, Shared]


class Window(NamedTuple):
    """Some of all entries, and the generation of each by its key."""

    holdings: Holdings
    digests: dict[str, str]


def _seconds(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    # To the millisecond, and a text that is no time is NULL: quicker than a datetime for each.
    return (sa.func.julianday(column, type_=sa.Float) - 2440587.5) * 86400.0


def _asked() -> list[sa.ColumnElement[Any]]:
    entry = schema.entry.c
    stays = sa.or_(entry.pinned.is_not(None), entry.format > MANIFEST_FORMAT)
    return [
        entry.key,
        entry.namespace,
        _seconds(entry.created_at),
        _seconds(entry.touched_at),
        entry.worth,
        stays,
        entry.manifest_bytes,
        entry.alone_bytes,
    ]


def all_holdings(index: IndexFile) -> Holdings:
    """Every entry that has rows.

    Raises:
        IndexCorrupt: a row is not what we write.
    """
    link, shard = schema.entry_shard.c, schema.shard.c
    several = (
        sa.select(link.shard, sa.func.count().label("holders"))
        .group_by(link.shard)
        .having(sa.func.count() > 1)
        .subquery()
    )
    pieces = sa.select(several.c.shard, several.c.holders, shard.bytes).join(
        schema.shard, shard.digest == several.c.shard
    )
    links = sa.select(link.entry, link.shard).where(link.shard.in_(sa.select(several.c.shard)))
    with index.reading() as connection:
        numbers: dict[str, int] = {}
        shared: dict[int, Shared] = {}
        for digest, holders, size_bytes in connection.execute(pieces):
            numbers[digest] = len(shared)
            shared[len(shared)] = Shared(size_bytes, holders)
        of_entry: dict[str, tuple[int, ...]] = {}
        same: dict[tuple[int, ...], tuple[int, ...]] = {}  # one tuple for all who hold the same
        for key, digest in _streamed(connection, links) if numbers else ():
            held = (*of_entry.get(key, ()), numbers[digest])
            of_entry[key] = same.setdefault(held, held)
        names: dict[str, str] = {}
        entries = [
            _holding(row, of_entry.pop(row[0], ()), names)
            for row in _streamed(connection, sa.select(*_asked()))
        ]
    return Holdings(entries, shared)


def _holding(row: Any, shared: tuple[int, ...], names: dict[str, str]) -> Holding:
    key, namespace, created_at, touched_at, worth, stays, manifest_bytes, alone_bytes = row
    return Holding(
        key,
        names.setdefault(namespace, namespace),
        float(created_at),
        float(touched_at),
        float(worth),
        bool(stays),
        int(manifest_bytes),
        int(alone_bytes),
        shared,
    )


def _streamed(connection: sa.Connection, statement: sa.Select[Any]) -> Iterator[Any]:
    return iter(connection.execution_options(yield_per=_AT_ONCE).execute(statement))
