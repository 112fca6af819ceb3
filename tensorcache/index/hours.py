"""Hours: uses summed by the hour and namespace, two years of them; and what `stats` asks.

Events are only the newest: what is older than they are is known by the hour alone.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from tensorcache import schema
from tensorcache.index.file import IndexFile
from tensorcache.index.uses import USED, Use, time_of
from tensorcache.manifest import AHEAD_SECONDS
from tensorcache.stats import SUMS, Hour, Ranked, Size, Stats, Sums, grouped, total

KEPT_SECONDS = 2 * 366 * 86_400.0
MOST_RANKED = 5
_COUNTED = {
    "hit": ("hits", "hit_seconds"),
    "miss": ("misses", ""),
    "build": ("builds", "build_seconds"),
    "wait": ("waits", "wait_seconds"),
    "evict": ("evictions", ""),
}


def summed(uses: Iterable[Use], now: float) -> Iterator[Hour]:
    """The uses as sums by the hour and namespace.

    What a clock ahead of ours wrote counts as of now, or it would stay for ever.
    """
    found: dict[tuple[dt.datetime, str], dict[str, Any]] = {}
    for use in uses:
        if use.kind not in _COUNTED:
            continue
        at = hour_of(use.at if use.at <= now + AHEAD_SECONDS else now)
        sums = found.setdefault((at, use.namespace or ""), defaultdict(int))
        count, seconds = _COUNTED[use.kind]
        sums[count] += 1
        if seconds:
            sums[seconds] += use.seconds
        if use.kind == "evict":
            sums["evicted_bytes"] += use.size_bytes
        elif use.kind in USED and use.build_seconds is not None:
            sums["saved_seconds"] += max(0.0, use.build_seconds - use.seconds)
    for (at, namespace), sums in found.items():
        yield Hour(at, namespace, Sums(**sums))


def add_hours(connection: sa.Connection, uses: Iterable[Use], now: float) -> None:
    """Add what the uses sum up to; what is older than two years goes."""
    rows = [
        {"hour": at, "namespace": namespace, **{name: getattr(sums, name) for name in SUMS}}
        for at, namespace, sums in summed(uses, now)
    ]
    hour = schema.hour
    if rows:
        insert = sqlite.insert(hour)
        more = {name: hour.c[name] + insert.excluded[name] for name in SUMS}
        keys = ["hour", "namespace"]
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=more), rows)
    oldest = time_of(now - KEPT_SECONDS)
    connection.execute(sa.delete(hour).where(hour.c.hour < oldest))
    connection.execute(sa.delete(schema.size).where(schema.size.c.hour < oldest))


def hour_of(at: float) -> dt.datetime:
    """The beginning of the hour of a time."""
    return time_of(at).replace(minute=0, second=0, microsecond=0)


def stats(index: IndexFile, since: float | None, by: str | None, now: float) -> Stats:
    """What was asked since the time `since`, and what is held now.

    Raises:
        EntryCorrupt, LeaseTimeout, ReadOnlyCache: the index cannot be read now.
    """
    entry, size = schema.entry, schema.size
    bytes_ = entry.c.bytes + entry.c.manifest_bytes
    with index.reading() as connection:
        hours = _hours(connection, since, now)
        held = connection.execute(sa.select(*schema.total.c["entries", "bytes"])).first() or (0, 0)
        referred = connection.scalar(sa.select(sa.func.sum(bytes_))) or 0
        sizes = sa.select(size).order_by(size.c.hour)
        if since is not None:
            sizes = sizes.where(size.c.hour >= hour_of(since))
        return Stats(
            **total(hour.sums for hour in hours),
            since=None if since is None else time_of(since).replace(tzinfo=dt.UTC),
            entries=held[0],
            stored_bytes=held[1],
            shared_bytes=max(0, referred - held[1]),
            dearest=_ranked(connection, entry.c.build_seconds.desc()),
            largest=_ranked(connection, bytes_.desc()),
            stalest=_ranked(connection, entry.c.touched_at),
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
    at = row.at.replace(tzinfo=dt.UTC).timestamp()
    return Use(at, row.kind, row.key, row.seconds, row.bytes, row.namespace, row.build_seconds)


def _ranked(connection: sa.Connection, order: Any) -> tuple[Ranked, ...]:
    entry = schema.entry
    names = entry.c["namespace", "build_seconds", "uses", "created_at", "last_used_at"]
    bytes_ = (entry.c.bytes + entry.c.manifest_bytes).label("held")
    found = connection.execute(
        sa.select(entry.c.key, bytes_, *names).order_by(order, entry.c.key).limit(MOST_RANKED)
    )
    return tuple(
        Ranked(
            key=row.key,
            namespace=row.namespace,
            bytes=row.held,
            build_seconds=row.build_seconds,
            uses=row.uses,
            created_at=row.created_at.replace(tzinfo=dt.UTC),
            last_used_at=row.last_used_at and row.last_used_at.replace(tzinfo=dt.UTC),
        )
        for row in found
    )
