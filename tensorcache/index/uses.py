"""Uses: what happened to entries, as events; the newest are kept."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from tensorcache import schema
from tensorcache.manifest import AHEAD_SECONDS

USED = frozenset({"hit", "wait"})  # kinds of event that count as a use of their entry
MOST_EVENTS = 100_000  # the newest stay: by their order, for a clock may jump
_COLUMNS = ("at", "kind", "key", "seconds", "bytes", "journal")
_LAST_SECOND = 253_402_300_799.0  # of the year 9999


class Use(NamedTuple):
    """One event: `at` in seconds since 1970, `kind` hit, miss, build, wait, evict or quarantine."""

    at: float
    kind: str
    key: str
    seconds: float
    size_bytes: int


def take(connection: sa.Connection, uses: Sequence[Use], journal: str | None) -> None:
    """Write `uses`, unless those of that journal are there already; count those of entries."""
    event = schema.event
    taken = sa.select(event.c.id).where(event.c.journal == journal).limit(1)
    if journal is not None and connection.execute(taken).first():
        return
    made = [dict(zip(_COLUMNS, (time_of(use.at), *use[1:], journal), strict=True)) for use in uses]
    connection.execute(sa.insert(event), made)
    newest = sa.select(sa.func.max(event.c.id)).scalar_subquery()
    connection.execute(sa.delete(event).where(event.c.id <= newest - MOST_EVENTS))
    _count(connection, [use for use in uses if use.kind in USED])


def _count(connection: sa.Connection, uses: Sequence[Use]) -> None:
    if not uses:
        return
    entry = schema.entry
    more = Counter(use.key for use in uses)
    last = {use.key: use.at for use in uses}  # by their order: a clock may have jumped back
    newest, ahead = (sa.bindparam(name, type_=sa.DateTime) for name in ("last", "ahead"))
    # A later use stays, of a journal that was taken in first; not one that is to come.
    is_later = entry.c.last_used_at.between(newest, ahead)
    connection.execute(
        sa.update(entry)
        .where(entry.c.key == sa.bindparam("used"))
        .values(
            uses=entry.c.uses + sa.bindparam("more"),
            last_used_at=sa.case((is_later, entry.c.last_used_at), else_=newest),
        ),
        [
            {
                "used": key,
                "more": more[key],
                "last": time_of(at),
                "ahead": time_of(at + AHEAD_SECONDS),
            }
            for key, at in last.items()
        ],
    )


def time_of(at: float) -> dt.datetime:
    """UTC without a zone; a time that no calendar has becomes the nearest it has since 1970."""
    within = max(0.0, min(at, _LAST_SECOND))  # NaN becomes 0
    return dt.datetime.fromtimestamp(within, dt.UTC).replace(tzinfo=None)
