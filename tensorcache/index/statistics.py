"""Statistics carried from one index into another: uses and events, which no manifest tells.

Rules of this room: the old file may be broken, so nothing in it is trusted. What is no key, time or
number as we write them stays behind, and reading ends where SQLite cannot go on.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tensorcache.errors import LeaseTimeout, TensorCacheError
from tensorcache.index.file import IndexFile

_SLICE = 5_000
_KEY = re.compile("[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")
_KINDS = frozenset({"hit", "miss", "build", "wait", "evict", "quarantine"})


class _Carried(NamedTuple):
    """What one question reads, and how an answer that is ours is written."""

    question: str
    is_ours: Callable[..., bool]
    statement: str


def carry_over(old: IndexFile, new: IndexFile) -> bool:
    """Copy uses and events, as far as they can be read; whether all of them could be.

    If so, no journal of `old` is left that waits to be played back.

    Raises:
        TensorCacheError: `new` cannot be written.
    """
    whole = True
    for carried in (_USES, _EVENTS):
        for some in _read(old, carried.question):
            ours = [row for row in some or () if carried.is_ours(*row)]
            whole = whole and some is not None and len(ours) == len(some)
            if ours:
                with new.writing() as connection:
                    connection.exec_driver_sql(carried.statement, ours)
    return whole


def _read(old: IndexFile, question: str) -> Iterator[list[tuple[Any, ...]] | None]:
    """The answer in slices; None comes last where it could not be read to the end."""
    try:
        with old.writing() as connection:  # which plays a journal back, and ends WAL mode
            found = connection.exec_driver_sql(question)
            while some := found.fetchmany(_SLICE):
                yield [tuple(row) for row in some]
    except LeaseTimeout:
        raise  # another program writes: nobody may take it away
    except TensorCacheError:
        yield None


def _is_use(uses: Any, last: Any, key: Any) -> bool:
    return _is_count(uses) and (last is None or _is_time(last)) and _is_key(key)


def _is_event(at: Any, kind: Any, key: Any, seconds: Any, size_bytes: Any, journal: Any) -> bool:
    return (
        _is_time(at)
        and kind in _KINDS
        and _is_key(key)
        and type(seconds) in (int, float)
        and math.isfinite(seconds)
        and _is_count(size_bytes)
        and (journal is None or (type(journal) is str and len(journal) <= 64))
    )


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


_USES = _Carried(
    "SELECT uses, last_used_at, key FROM entry WHERE uses > 0",
    _is_use,
    "UPDATE entry SET uses = ?, last_used_at = ? WHERE key = ?",
)
_EVENTS = _Carried(
    "SELECT at, kind, key, seconds, bytes, journal FROM event ORDER BY id",
    _is_event,
    "INSERT INTO event (at, kind, key, seconds, bytes, journal) VALUES (?, ?, ?, ?, ?, ?)",
)
