"""What retention weighs: every entry for `vacuum`, or the few that go first for a publication.

Rules of this room: an entry is told in few bytes, for there may be a million. Pieces that others
hold as well are numbered, and told once. A publication reads by indexes alone, looks at so many
rows and no more, and counts the holders of no piece beyond `MOST_HOLDERS`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from tensorcache import schema
from tensorcache.index.comparing import raw
from tensorcache.index.file import IndexFile
from tensorcache.index.sums import where_in
from tensorcache.index.uses import time_of
from tensorcache.manifest import AHEAD_SECONDS, MANIFEST_FORMAT

MOST_HOLDERS = 256  # of a piece: of more, not all can go with one publication
WINDOW = 256  # entries among which a publication chooses, by worth and of those that free more
LOOKED_AT = 8_192  # entries by worth, of which the newest may be too many
NEWEST = 1_000  # entries used last, or whose grace ended last, among which larger ones are sought
_KEY = re.compile("[0-9a-f]{64}")


class Weighed(NamedTuple):
    """An entry as retention sees it; times in seconds since 1970.

    `alone_bytes` come back with it alone, its manifest among them. `stays`: it may not go, being
    pinned, or of a format that we do not know. `shared` are the numbers of what others hold too.
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


class Weights(NamedTuple):
    """Entries, and what they share by its number."""

    entries: list[Weighed]
    shared: dict[int, Shared]


class Asking(NamedTuple):
    """What a publication may remove: by `policy`, at `now`, but not what was used in the grace.

    What is larger than `max_bytes` alone goes before all others.
    """

    policy: str
    now: float
    grace_seconds: float
    max_bytes: int | None = None


def all_weights(index: IndexFile) -> Weights:
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
    pieces = sa.select(several.c.shard, several.c.holders, shard.bytes)
    pieces = pieces.join(schema.shard, shard.digest == several.c.shard)
    links = sa.select(link.entry, link.shard)
    numbers: dict[str, int] = {}
    shared: dict[int, Shared] = {}
    held: dict[str, tuple[int, ...]] = {}
    same: dict[tuple[int, ...], tuple[int, ...]] = {}  # one tuple for all who hold the same
    names: dict[str, str] = {}
    with index.reading() as connection:
        for digest, holders, size_bytes in connection.execute(pieces):
            numbers[digest] = len(shared)
            shared[len(shared)] = Shared(size_bytes, holders)
        for key, digest in raw(connection, links) if numbers else ():
            if digest in numbers:
                its = (*held.get(key, ()), numbers[digest])
                held[key] = same.setdefault(its, its)
        rows = raw(connection, sa.select(*_asked()))
        entries = [_weighed(row, held.pop(row[0], ()), names) for row in rows]
    return Weights(entries, shared)


def window(
    index: IndexFile, asking: Asking, spare: Collection[str]
) -> tuple[Weights, dict[str, str]]:
    """Those that go first, but none of `spare`; and the generation of each by its key.

    Who shares pieces with them comes too, if these are not too many; and where any shares, those
    worth least that free something alone. Where the least worth were all used in the grace, those
    that nobody used for longest stand in for them.
    """
    link, shard = schema.entry_shard.c, schema.shard.c
    numbers: dict[str, int] = {}
    shared = {0: Shared(0, 1 << 62)}  # stands for all that never comes back with a publication
    held: dict[str, list[int]] = {}
    with index.reading() as connection:
        rows = _first(connection, asking, asking.policy, spare)
        if not rows and asking.policy != "lru":
            rows = _first(connection, asking, "lru", spare)
        if any(map(_shares, rows.values())):  # else sharers of what stays would hide all others
            rows |= _first(connection, asking, "frees", spare)
        rows |= _larger(connection, asking, spare)
        sharing = [row.key for row in rows.values() if _shares(row)]
        asked = sa.select(link.shard).distinct()
        digests = {row.shard for row in where_in(connection, asked, link.entry, sharing)}
        for digest, size_bytes, too_many, holders in where_in(
            connection, _holders(), shard.digest, digests
        ):
            if too_many is None and holders > 1:
                numbers[digest] = len(shared)
                shared[len(shared)] = Shared(size_bytes, holders)
        links = sa.select(link.entry, link.shard)
        for key, digest in where_in(connection, links, link.shard, numbers):
            held.setdefault(key, [0]).append(numbers[digest])
        others = held.keys() - rows.keys() - set(spare)
        more = _candidates().where(_is_idle(schema.entry.c.touched_at, asking))
        found = where_in(connection, more, schema.entry.c.key, others)
        rows |= {row.key: row for row in found if _is_whole(row)}
    names: dict[str, str] = {}
    entries = [
        _weighed(row, tuple(held.get(row.key, [0])) if _shares(row) else (), names)
        for row in rows.values()
    ]
    return Weights(entries, shared), {row.key: row.digest for row in rows.values()}


def bytes_of_large(
    index: IndexFile, limit_bytes: int, keys: Collection[str], since: float | None
) -> int:
    """The bytes of entries that are larger than a limit alone: of `keys`, and those used `since`.

    Of the latter, among the thousand that were used last. What several hold counts once.
    """
    entry, link, shard = schema.entry.c, schema.entry_shard.c, schema.shard.c
    size = entry.bytes + entry.manifest_bytes
    newest = sa.select(_number()).select_from(schema.entry).where(entry.pinned.is_(None))
    newest = newest.order_by(entry.touched_at.desc()).limit(NEWEST)
    large = sa.select(entry.key, entry.manifest_bytes).where(size > limit_bytes)
    recent = large.where(_number().in_(newest), entry.touched_at > time_of(since or 0.0))
    with index.reading() as connection:
        found = {row.key: row[1] for row in where_in(connection, large, entry.key, keys)}
        if since is not None:
            found |= {row.key: row[1] for row in connection.execute(recent)}
        links = where_in(connection, sa.select(link.shard), link.entry, found)
        digests = {row.shard for row in links}
        pieces = where_in(connection, sa.select(shard.bytes), shard.digest, digests)
        return int(sum(found.values()) + sum(row.bytes for row in pieces))


def old_events(index: IndexFile, before: float) -> int:
    """How many events there are before a time, in seconds since 1970."""
    asked = sa.select(sa.func.count()).where(schema.event.c.at < time_of(before))
    with index.reading() as connection:
        return int(connection.execute(asked).scalar_one())


def forget_events(index: IndexFile, before: float) -> None:
    """Delete the events before a time; the sums of them stay."""
    with index.writing() as connection:
        connection.execute(sa.delete(schema.event).where(schema.event.c.at < time_of(before)))


def _number() -> sa.ColumnElement[int]:
    return sa.literal_column("entry.rowid", sa.Integer)


def _first(
    connection: sa.Connection, asking: Asking, order: str, spare: Collection[str]
) -> dict[str, Any]:
    """The candidates that come first in an order which an index has."""
    entry = schema.entry.c
    by = {"lru": [], "oldest": [entry.created_at]}.get(order, [entry.worth])
    by = [*by, entry.touched_at]
    frees = [entry.alone_bytes > entry.manifest_bytes] if order == "frees" else []
    looked_at = (
        sa.select(_number().label("number"), *by)
        .select_from(schema.entry)
        .where(entry.pinned.is_(None), *frees)
        .order_by(*by)
        .limit(LOOKED_AT)
        .subquery()
    )
    idle = sa.select(looked_at.c.number).where(_is_idle(looked_at.c.touched_at, asking))
    idle = idle.limit(WINDOW + len(spare))
    found = connection.execute(_candidates().where(_number().in_(idle)).order_by(*by))
    return {row.key: row for row in found if row.key not in spare and _is_whole(row)}


def _larger(connection: sa.Connection, asking: Asking, spare: Collection[str]) -> dict[str, Any]:
    """The candidates larger than the limit alone, among those whose grace ended last."""
    entry = schema.entry.c
    if asking.max_bytes is None:
        return {}
    ended = sa.select(_number()).select_from(schema.entry).where(entry.pinned.is_(None))
    ended = ended.where(entry.touched_at <= time_of(asking.now - asking.grace_seconds))
    ended = ended.order_by(entry.touched_at.desc()).limit(NEWEST)
    asked = _candidates().where(_number().in_(ended), entry.alone_bytes > asking.max_bytes)
    found = connection.execute(asked)
    return {row.key: row for row in found if row.key not in spare and _is_whole(row)}


def _is_idle(touched_at: Any, asking: Asking) -> sa.ColumnElement[bool]:
    before, ahead = asking.now - asking.grace_seconds, asking.now + AHEAD_SECONDS
    return sa.or_(touched_at <= time_of(before), touched_at > time_of(ahead))


def _holders() -> sa.Select[Any]:
    """Of pieces: digest, bytes, whether too many hold it (not NULL), and else how many do."""
    link, shard = schema.entry_shard.c, schema.shard.c
    holders = sa.select(link.entry).where(link.shard == shard.digest)
    too_many = holders.limit(1).offset(MOST_HOLDERS).scalar_subquery()
    counted = sa.select(sa.func.count()).where(link.shard == shard.digest).scalar_subquery()
    return sa.select(shard.digest, shard.bytes, too_many, sa.case((too_many.is_(None), counted)))


def _candidates() -> sa.Select[Any]:
    entry = schema.entry.c
    asked = sa.select(*_asked(), entry.bytes, entry.digest)
    return asked.where(entry.pinned.is_(None), entry.format <= MANIFEST_FORMAT)


def _asked() -> Sequence[sa.ColumnElement[Any]]:
    entry = schema.entry.c
    return (
        entry.key,
        entry.namespace,
        _seconds(entry.created_at),
        _seconds(entry.touched_at),
        sa.cast(entry.worth, sa.Float).label("worth"),
        entry.format > MANIFEST_FORMAT,  # whether it is pinned, a file says
        sa.cast(entry.manifest_bytes, sa.Integer).label("manifest_bytes"),
        sa.cast(entry.alone_bytes, sa.Integer).label("alone_bytes"),
    )


def _seconds(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    # To the millisecond, which is enough, and quicker than a datetime for each of a million.
    return (sa.func.julianday(column, type_=sa.Float) - 2440587.5) * 86400.0


def _weighed(row: Any, shared: tuple[int, ...], names: dict[str, str]) -> Weighed:
    if None in row[:8]:
        raise ValueError(f"a row of {row[0]!r:.20} has a time that is none")
    return Weighed._make((row[0], names.setdefault(row[1], row[1]), *row[2:8], shared))


def _is_whole(row: Any) -> bool:
    """Whether a row is one that we wrote: no other shall keep a publication from its limit."""
    key, _, *times, worth, _, manifest_bytes, alone_bytes, size_bytes, digest = row
    numbers = (*times, worth, manifest_bytes, alone_bytes, size_bytes)
    return (
        type(key) is type(digest) is str
        and _KEY.fullmatch(key) is not None
        and all(type(n) in (int, float) and math.isfinite(n) for n in numbers)
    )


def _shares(row: Any) -> bool:
    return bool(row.alone_bytes < row.manifest_bytes + row.bytes)
