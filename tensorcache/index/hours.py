"""What `stats` asks: sums of uses since a time, bytes, and the entries that stand out.

Events are only the newest: of what is older, and of the hour in which it began, the hour is known.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from tensorcache import schema
from tensorcache.index.file import IndexFile
from tensorcache.index.sums import held
from tensorcache.index.uses import Use, hour_of, seconds_of, summed, time_of
from tensorcache.stats import SUMS, Hour, Ranked, Size, Stats, Sums, grouped, total

MOST_RANKED = 5


def stats(index: IndexFile, since: float | None, by: str | None, now: float) -> Stats:
    """What was asked since the time `since`, and what is held now.

    Raises:
        EntryCorrupt, LeaseTimeout, ReadOnlyCache: the index cannot be read now, or is an old one.
    """
    entry, size = schema.entry, schema.size
    bytes_ = entry.c.bytes + entry.c.manifest_bytes
    with index.reading() as connection:
        hours = _hours(connection, since, now)
        entries, stored_bytes = held(connection)
        referred = connection.scalar(sa.select(sa.func.sum(bytes_))) or 0
        sizes = sa.select(size).order_by(size.c.hour)
        if since is not None:
            sizes = sizes.where(size.c.hour >= hour_of(since))
        return Stats(
            **total(hour.sums for hour in hours),
            since=None if since is None else time_of(since).replace(tzinfo=dt.UTC),
            entries=entries,
            stored_bytes=stored_bytes,
            shared_bytes=max(0, referred - stored_bytes),
            dearest=_ranked(connection, entry.c.build_seconds.desc()),
            largest=_ranked(connection, entry.c.bytes.desc()),
            stalest=_ranked(connection, entry.c.touched_at, entry.c.pinned.is_(None)),
            groups=grouped(hours, by) if by else None,
            sizes=tuple(
                Size(row.hour.replace(tzinfo=dt.UTC), row.bytes, row.limit_bytes)
                for row in connection.execute(sizes)
            ),
        )


def _hours(connection: sa.Connection, since: float | None, now: float) -> list[Hour]:
    """The sums since a time: of the hour in which it lies, from its events where all are left."""
    hour, event = schema.hour, schema.event
    asked, edge = sa.select(hour), []
    if since is not None:
        first = hour_of(since)
        oldest = connection.scalar(sa.select(sa.func.min(event.c.at)))
        if oldest is not None and oldest <= time_of(since):
            begun = sa.select(event).where(event.c.at >= time_of(since))
            begun = begun.where(event.c.at < first + dt.timedelta(hours=1))
            edge = list(summed(map(_use, connection.execute(begun)), now))
            first += dt.timedelta(hours=1)
        asked = asked.where(hour.c.hour >= first)
    found = connection.execute(asked.order_by(hour.c.hour, hour.c.namespace))
    return edge + [
        Hour(row.hour, row.namespace, Sums(*(getattr(row, name) for name in SUMS))) for row in found
    ]


def _use(row: Any) -> Use:
    at = seconds_of(row.at)
    return Use(at, row.kind, row.key, row.seconds, row.bytes, row.namespace, row.build_seconds)


def _ranked(
    connection: sa.Connection, order: Any, which: sa.ColumnElement[bool] | None = None
) -> tuple[Ranked, ...]:
    entry = schema.entry
    names = "key", "namespace", "bytes", "build_seconds", "uses", "created_at", "last_used_at"
    asked = sa.select(*entry.c[names]).order_by(order, entry.c.key).limit(MOST_RANKED)
    found = connection.execute(asked if which is None else asked.where(which))
    return tuple(
        Ranked(
            key=row.key,
            namespace=row.namespace,
            bytes=row.bytes,
            build_seconds=row.build_seconds,
            uses=row.uses,
            created_at=row.created_at.replace(tzinfo=dt.UTC),
            last_used_at=row.last_used_at and row.last_used_at.replace(tzinfo=dt.UTC),
        )
        for row in found
    )
