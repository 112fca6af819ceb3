"""Uses: what happened to entries, as events, of which the newest are kept, and summed by the hour.

A hit or a wait saves what its entry took to build, less what the hit or the wait itself took.
"""

from __future__ import annotations

import datetime as dt
import functools
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from tensorcache import schema
from tensorcache.index.sums import KEPT, weigh, where_in
from tensorcache.manifest import AHEAD_SECONDS
from tensorcache.stats import SUMS, Hour, Sums
from tensorcache.worth import warmed

USED = frozenset({"hit", "wait"})  # kinds of event that count as a use of their entry
MOST_EVENTS = 100_000  # the newest stay: by their order, for a clock may jump
MOST_TAKEN = 10_000  # journals: an old one is offered again only by who died with it
_COLUMNS = ("at", "kind", "key", "seconds", "bytes", "namespace", "build_seconds")
_COUNTED = {
    "hit": ("hits", "hit_seconds"),
    "miss": ("misses", ""),
    "build": ("builds", "build_seconds"),
    "wait": ("waits", "wait_seconds"),
    "evict": ("evictions", ""),
}
_LAST_SECOND = 253_402_300_799.0  # of the year 9999


class Use(NamedTuple):
    """One event: `at` in seconds since 1970, `kind` hit, miss, build, wait, evict or quarantine.

    `build_seconds` are those of the entry that was hit or waited for. None is not known.
    """

    at: float
    kind: str
    key: str
    seconds: float
    size_bytes: int
    namespace: str | None = None
    build_seconds: float | None = None


def take(connection: sa.Connection, uses: Sequence[Use], journal: str | None) -> None:
    """Write `uses`, unless those of that journal were taken already; count those of entries."""
    if journal is not None and not _is_new(connection, journal):
        return
    event, uses = schema.event, add(connection, uses)
    newest = sa.select(sa.func.max(event.c.id)).scalar_subquery()
    connection.execute(sa.delete(event).where(event.c.id <= newest - MOST_EVENTS))
    _count(connection, [use for use in uses if use.kind in USED])


def add(connection: sa.Connection, uses: Sequence[Use]) -> list[Use]:
    """Write `uses` as events, and sum them up; what they are, where entries tell more of them."""
    uses = _told(connection, uses)
    made = [dict(zip(_COLUMNS, (time_of(use.at), *use[1:]), strict=True)) for use in uses]
    connection.execute(sa.insert(schema.event), made)
    _add_hours(connection, uses, time.time())
    return uses


def _told(connection: sa.Connection, uses: Sequence[Use]) -> list[Use]:
    """The uses, with what their entries tell where their lines do not: those of digits alone, and
    of an older tensorcache.
    """
    entry = schema.entry
    asked = {u.key for u in uses if None in (u.namespace, u.build_seconds if u.kind in USED else 0)}
    known = sa.select(*entry.c["key", "namespace", "build_seconds"])
    told = {row.key: row for row in where_in(connection, known, entry.c.key, asked)}
    filled = []
    for use in uses:
        row = told.get(use.key)
        if row is not None:
            use = use._replace(namespace=use.namespace or row.namespace)  # noqa: PLW2901
            if use.kind in USED and use.build_seconds is None:
                use = use._replace(build_seconds=row.build_seconds)  # noqa: PLW2901
        filled.append(use)
    return filled


def _add_hours(connection: sa.Connection, uses: Iterable[Use], now: float) -> None:
    """Add what the uses sum up to; what is older than two years goes."""
    rows = [
        {"hour": at, "namespace": namespace, **{name: getattr(sums, name) for name in SUMS}}
        for at, namespace, sums in summed(uses, now)
    ]
    added, forgotten = _adding_hours()
    if rows:
        connection.execute(added, rows)
    connection.execute(forgotten, {"before": hour_of(now) - KEPT})


@functools.cache  # a statement costs more to be made than to be run
def _adding_hours() -> tuple[sa.Insert, sa.Delete]:
    hour = schema.hour
    insert = sqlite.insert(hour)
    more = {name: hour.c[name] + insert.excluded[name] for name in SUMS}
    return (
        insert.on_conflict_do_update(["hour", "namespace"], set_=more),
        sa.delete(hour).where(hour.c.hour < sa.bindparam("before")),
    )


def summed(uses: Iterable[Use], now: float) -> Iterator[Hour]:
    """The uses as sums by the hour and namespace."""
    found: dict[tuple[dt.datetime, str], dict[str, Any]] = {}
    for use in uses:
        if use.kind not in _COUNTED:
            continue
        at = hour_of(not_ahead(use.at, now))
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


def _is_new(connection: sa.Connection, journal: str) -> bool:
    """Whether that journal was not taken yet, which is remembered; of the newest ones."""
    taken = schema.taken
    order: sa.ColumnElement[int] = sa.literal_column("rowid", sa.Integer)
    if connection.execute(sa.select(taken.c.journal).where(taken.c.journal == journal)).first():
        return False
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    connection.execute(sa.insert(taken).values(journal=journal, at=now))
    newest = sa.select(sa.func.max(order)).select_from(taken).scalar_subquery()
    connection.execute(sa.delete(taken).where(order <= newest - MOST_TAKEN))
    return True


def _count(connection: sa.Connection, uses: Sequence[Use]) -> None:
    entry = schema.entry
    used: dict[str, list[float]] = {}
    for use in uses:
        used.setdefault(use.key, []).append(use.at)
    warm = sa.cast(entry.c.warmth, sa.Float)  # a row may be broken
    known = list(where_in(connection, sa.select(entry.c.key, warm), entry.c.key, used))
    now = time.time()
    counted = []
    for key, warmth in known:
        newest = used[key][-1]  # by their order: a clock may have jumped back
        times = (not_ahead(at, now) for at in used[key])
        counted.append(
            {
                "used": key,
                "more": len(used[key]),
                "is_warm": functools.reduce(warmed, times, warmth),
                "last": time_of(newest),
                "ahead": time_of(newest + AHEAD_SECONDS),
                "touched": time_of(not_ahead(newest, now)),
            }
        )
    if not counted:
        return
    names = ("last", "ahead", "touched")
    last, ahead, touched = (sa.bindparam(name, type_=sa.DateTime) for name in names)
    # A later use stays, of a journal that was taken in first; not one that is to come.
    is_later = entry.c.last_used_at.between(last, ahead)
    was_touched_later = entry.c.touched_at.between(touched, ahead)
    connection.execute(
        sa.update(entry)
        .where(entry.c.key == sa.bindparam("used"))
        .values(
            uses=entry.c.uses + sa.bindparam("more"),
            last_used_at=sa.case((is_later, entry.c.last_used_at), else_=last),
            touched_at=sa.case((was_touched_later, entry.c.touched_at), else_=touched),
            warmth=sa.bindparam("is_warm"),
        ),
        counted,
    )
    weigh(connection, used)


def not_ahead(at: float, now: float) -> float:
    """`at`, or `now` where it is so far ahead that a clock was wrong: not kept for ever by it."""
    return at if at <= now + AHEAD_SECONDS else now


def time_of(at: float) -> dt.datetime:
    """UTC without a zone; a time that no calendar has becomes the nearest it has since 1970."""
    within = max(0.0, min(at, _LAST_SECOND))  # NaN becomes 0
    return dt.datetime.fromtimestamp(within, dt.UTC).replace(tzinfo=None)


def hour_of(at: float) -> dt.datetime:
    """The beginning of the hour of a time."""
    return time_of(at).replace(minute=0, second=0, microsecond=0)


def seconds_of(at: dt.datetime) -> float:
    """A time as rows have it, in seconds since 1970."""
    return at.replace(tzinfo=dt.UTC).timestamp()
