"""Statistics carried from one index into another: what no manifest tells of uses.

Rules of this room: the old file may be broken, so nothing in it is trusted. What is no key, time or
number as we write them stays behind, and reading ends where SQLite cannot go on.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tensorcache.errors import LeaseTimeout, TensorCacheError
from tensorcache.index.file import IndexFile
from tensorcache.index.sums import weigh
from tensorcache.index.uses import Use, add, seconds_of
from tensorcache.manifest import AHEAD_SECONDS
from tensorcache.worth import warmed

_SLICE = 5_000
_TRIES = 2  # of reading, for a call may fail once
_KEY = re.compile("[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")
_MOST_USES = 1 << 40
_KINDS = frozenset({"hit", "miss", "build", "wait", "evict", "quarantine"})


class _Carried(NamedTuple):
    """What one question reads, and how an answer that is ours is written.

    `before`: the question to an index of the first revision, or none.
    """

    question: str
    is_ours: Callable[..., bool]
    statement: str
    before: str = ""


def carry_over(old: IndexFile, new: IndexFile) -> bool:
    """Copy uses, events and sums, as far as they can be read; whether all of them could be.

    If so, no journal of `old` is left that waits to be played back.

    Raises:
        TensorCacheError: `new` cannot be written.
    """
    whole, is_first = True, _is_first(old)
    for carried in (_USES, _EVENTS, _HOURS, _SIZES, _TAKEN):
        question = carried.before if is_first else carried.question
        for some in _read(old, question) if question else ():
            ours = [row for row in some or () if carried.is_ours(*row)]
            whole = whole and some is not None and len(ours) == len(some)
            if ours:
                with new.writing() as connection:
                    if carried is _EVENTS and is_first:  # which had no sums by the hour
                        add(connection, [Use(_seconds(at), *rest) for at, *rest in ours])
                        continue
                    connection.exec_driver_sql(carried.statement, ours)
                    if carried is _USES:
                        weigh(connection, [row[-1] for row in ours])
    return whole


def _is_first(old: IndexFile) -> bool:
    """Whether it was not upgraded: so broken that it could not be, or else it would be by now."""
    try:
        return old.revision() == "0001"
    except LeaseTimeout:
        raise
    except TensorCacheError:
        return False


def _read(old: IndexFile, question: str) -> Iterator[list[tuple[Any, ...]] | None]:
    """The answer in slices; None comes last where it could not be read to the end."""
    for _ in range(_TRIES):
        has_begun = False
        try:
            with old.writing() as connection:  # which plays a journal back, and ends WAL mode
                found = connection.exec_driver_sql(question)
                while some := found.fetchmany(_SLICE):
                    has_begun = True
                    yield [tuple(row) for row in some]
        except LeaseTimeout:
            raise  # another program writes: nobody may take it away
        except TensorCacheError:
            if has_begun:  # no row twice
                break
        else:
            return
    yield None


def _is_use(uses: Any, last: Any, touched: Any, warmth: Any, key: Any) -> bool:
    times = _is_time(touched) and (last is None or _is_time(last))
    return _is_count(uses) and times and _is_warmth(warmth) and _is_key(key)


def _is_warmth(value: Any) -> bool:
    most = warmed(None, time.time() + AHEAD_SECONDS, _MOST_USES)  # more would stay for ever
    return _is_number(value) and 0 <= value <= most


def _is_event(
    at: Any, kind: Any, key: Any, seconds: Any, size_bytes: Any, namespace: Any, built: Any
) -> bool:
    return (
        _is_time(at)
        and kind in _KINDS
        and _is_key(key)
        and _is_number(seconds)
        and _is_count(size_bytes)
        and (namespace is None or _is_name(namespace))
        and (built is None or _is_number(built))
    )


def _is_hour(hour: Any, namespace: Any, *sums: Any) -> bool:
    counts, seconds = (*sums[:5], sums[-1]), sums[5:-1]
    is_ours = all(map(_is_count, counts)) and all(map(_is_number, seconds))
    return is_ours and _is_time(hour) and _is_name(namespace)


def _is_size(hour: Any, size_bytes: Any, limit_bytes: Any) -> bool:
    return (
        _is_time(hour) and _is_count(size_bytes) and (limit_bytes is None or _is_count(limit_bytes))
    )


def _is_taken(journal: Any, at: Any) -> bool:
    return _is_name(journal) and _is_time(at)


def _is_name(value: Any) -> bool:
    return type(value) is str and len(value) <= 64


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _is_key(value: Any) -> bool:
    return type(value) is str and _KEY.fullmatch(value) is not None


def _is_time(value: Any) -> bool:
    if type(value) is not str or not _TIME.fullmatch(value):
        return False
    try:
        dt.datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _seconds(at: str) -> float:
    return seconds_of(dt.datetime.fromisoformat(at))


_USES = _Carried(
    "SELECT uses, last_used_at, touched_at, warmth, key FROM entry WHERE uses > 0",
    _is_use,
    "UPDATE entry SET uses = ?, last_used_at = ?, touched_at = max(touched_at, ?), "
    "warmth = max(warmth, ?) WHERE key = ?",
    "SELECT uses, last_used_at, coalesce(last_used_at, created_at), 0.0, key FROM entry "
    "WHERE uses > 0",
)
_EVENTS = _Carried(
    "SELECT at, kind, key, seconds, bytes, namespace, build_seconds FROM event ORDER BY id",
    _is_event,
    "INSERT INTO event (at, kind, key, seconds, bytes, namespace, build_seconds) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)",
    "SELECT at, kind, key, seconds, bytes, NULL, NULL FROM event ORDER BY id",
)
_HOURS = _Carried(
    "SELECT hour, namespace, hits, misses, builds, waits, evictions, hit_seconds, wait_seconds, "
    "build_seconds, saved_seconds, evicted_bytes FROM _hour",
    _is_hour,
    "INSERT OR REPLACE INTO _hour (hour, namespace, hits, misses, builds, waits, evictions, "
    "hit_seconds, wait_seconds, build_seconds, saved_seconds, evicted_bytes) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
)
_SIZES = _Carried(
    "SELECT hour, bytes, limit_bytes FROM _size",
    _is_size,
    "INSERT OR IGNORE INTO _size (hour, bytes, limit_bytes) VALUES (?, ?, ?)",
)
_TAKEN = _Carried(
    "SELECT journal, at FROM _taken ORDER BY rowid",
    _is_taken,
    "INSERT OR IGNORE INTO _taken (journal, at) VALUES (?, ?)",
    "SELECT journal, max(at) FROM event WHERE journal IS NOT NULL GROUP BY journal "
    "ORDER BY max(id)",
)
