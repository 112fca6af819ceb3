"""Sums kept beside the rows: the bytes that go with each entry alone, its worth, and all bytes.

Rules of this room: a change costs what it touches, never what is held: of a piece that a million
entries share, two holders at most are looked at. `faults` alone adds everything up.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Collection, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from tensorcache import schema
from tensorcache.worth import worth

KEPT = dt.timedelta(days=2 * 365)  # how long sums by the hour stay
_SLICE = 500  # names in one IN (…): far below what any SQLite or PostgreSQL takes


def sole_holders(connection: sa.Connection, digests: Collection[str]) -> set[str]:
    """The keys that hold one of these pieces alone."""
    found = where_in(connection, _two_holders(), schema.shard.c.digest, digests)
    return {row.first for row in found if row.first is not None and row.other is None}


@functools.cache  # as are the next: a statement costs more to be made than to be run
def _two_holders() -> sa.Select[Any]:
    link, shard = schema.entry_shard, schema.shard
    holders = sa.select(link.c.entry).where(link.c.shard == shard.c.digest).limit(1)
    first, other = holders.scalar_subquery(), holders.offset(1).scalar_subquery()
    return sa.select(first.label("first"), other.label("other")).select_from(shard)


def weigh(connection: sa.Connection, keys: Collection[str]) -> None:
    """Write what goes with each of `keys` alone, and what it is worth, as its rows are by now."""
    asked, update = _weighing()
    weighed = [
        {"of": row.key, "alone": row.alone, "is_worth": worth(*row[1:])}
        for row in where_in(connection, asked, schema.entry.c.key, keys)
    ]
    if weighed:
        connection.execute(update, weighed)


@functools.cache
def _weighing() -> tuple[sa.Select[Any], sa.Update]:
    """The question what an entry's manifest and the pieces that nobody else holds weigh."""
    entry, shard, link = schema.entry, schema.shard, schema.entry_shard
    other = link.alias()
    is_shared = sa.exists().where(other.c.shard == link.c.shard, other.c.entry != link.c.entry)
    pieces = (
        sa.select(sa.func.coalesce(sa.func.sum(shard.c.bytes), 0))
        .join_from(link, shard)
        .where(link.c.entry == entry.c.key, ~is_shared)
        .correlate(entry)
    )
    alone = (entry.c.manifest_bytes + pieces.scalar_subquery()).label("alone")
    told: dict[str, Any] = {"alone_bytes": sa.bindparam("alone"), "worth": sa.bindparam("is_worth")}
    return (
        sa.select(entry.c.key, *_numbers("build_seconds", "warmth"), alone),
        sa.update(entry).where(entry.c.key == sa.bindparam("of")).values(told),
    )


def _numbers(*names: str) -> Iterator[sa.ColumnElement[float]]:
    """These columns of an entry as numbers: a row may be broken, and a publication stands."""
    for name in names:
        yield sa.cast(schema.entry.c[name], sa.Float).label(name)


def add_up(
    connection: sa.Connection, entries: int, size_bytes: int, limit_bytes: int | None
) -> None:
    """Count so many `entries` and bytes more; this hour remembers what is held, and the limit."""
    hour = dt.datetime.now(dt.UTC).replace(tzinfo=None, minute=0, second=0, microsecond=0)
    counted, remembered, forgotten = _adding()
    connection.execute(counted, {"id": 1, "entries": entries, "bytes": size_bytes})
    connection.execute(remembered, {"hour": hour, "limit": limit_bytes})
    if entries < 0:  # removals are the fewer
        connection.execute(forgotten, {"before": hour - KEPT})


@functools.cache
def _adding() -> tuple[sa.Insert, sa.Insert, sa.Delete]:
    total, size = schema.total, schema.size
    one = sqlite.insert(total)
    more = {name: total.c[name] + one.excluded[name] for name in ("entries", "bytes")}
    now = sqlite.insert(size).values(
        hour=sa.bindparam("hour"),
        bytes=sa.select(total.c.bytes).scalar_subquery(),
        limit_bytes=sa.bindparam("limit"),
    )
    limit = sa.func.coalesce(now.excluded.limit_bytes, size.c.limit_bytes)  # not all know it
    told = {"bytes": now.excluded.bytes, "limit_bytes": limit}
    return (
        one.on_conflict_do_update(["id"], set_=more),
        now.on_conflict_do_update(["hour"], set_=told),
        sa.delete(size).where(size.c.hour < sa.bindparam("before")),
    )


def held(connection: sa.Connection) -> tuple[int, int]:
    """How many entries there are, and the bytes of their manifests and pieces, each once."""
    total = schema.total
    row = connection.execute(sa.select(*total.c["entries", "bytes"])).first()
    return (row.entries, row.bytes) if row else (0, 0)


def faults(connection: sa.Connection) -> Iterator[str]:
    """Where the sums are not what the rows add up to, a line each."""
    entry, shard, link = schema.entry, schema.shard, schema.entry_shard
    manifests = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(entry.c.manifest_bytes), 0))
    entries, size_bytes = connection.execute(manifests.select_from(entry)).one()
    size_bytes += connection.execute(sa.select(sa.func.sum(shard.c.bytes))).scalar() or 0
    if (told := held(connection)) != (entries, size_bytes):
        counted = f"{told[0]} entries and {told[1]} bytes, not {entries} and {size_bytes}"
        yield f"index: it counts {counted}"
    holder = sa.func.min(link.c.entry).label("entry")
    held_once = sa.select(link.c.shard, holder).group_by(link.c.shard)
    sole = held_once.having(sa.func.count() == 1).subquery()
    alone = sa.select(sole.c.entry, sa.func.sum(shard.c.bytes).label("bytes"))
    alone = alone.join_from(sole, shard, sole.c.shard == shard.c.digest).group_by(sole.c.entry)
    its = alone.subquery()
    wanted = entry.c.manifest_bytes + sa.func.coalesce(its.c.bytes, 0)
    numbers = _numbers("build_seconds", "warmth", "worth")
    asked = sa.select(*entry.c["key", "alone_bytes"], *numbers, wanted.label("wanted"))
    for row in connection.execute(asked.outerjoin_from(entry, its, its.c.entry == entry.c.key)):
        if row.alone_bytes != row.wanted:
            yield f"index: entry {row.key[:16]} has {row.wanted} bytes alone, not {row.alone_bytes}"
        elif abs(row.worth - worth(row.build_seconds, row.warmth, row.wanted)) > 1e-6:
            yield f"index: entry {row.key[:16]} is not worth {row.worth}"


def where_in(
    connection: sa.Connection,
    statement: sa.Select[Any],
    column: sa.Column[Any],
    values: Collection[str],
) -> Iterator[Any]:
    """The rows of `statement` in which `column` is one of `values`, which may be many."""
    for some in slices(values):
        yield from connection.execute(statement.where(column.in_(some)))


def slices(values: Collection[str]) -> Iterator[list[str]]:
    """The values in order, no more at once than one IN (…) takes."""
    ordered = sorted(values)
    for start in range(0, len(ordered), _SLICE):
        yield ordered[start : start + _SLICE]
