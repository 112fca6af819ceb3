"""Stats: what was asked of a cache, what that saved, and what lies in it.

Rules of this room: values and sums of them, pure; the index fills them in. A hit or a wait saves
what its entry took to build, less what the hit or the wait itself took, and nothing if that took
longer.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

GROUPS = {"namespace": "", "day": "%Y-%m-%d", "hour": "%Y-%m-%d %H:00"}


@dataclass(frozen=True)
class Sums:
    """How often, and how long in seconds; `saved_seconds` is what hits and waits saved."""

    hits: int = 0
    misses: int = 0
    builds: int = 0
    waits: int = 0
    evictions: int = 0
    hit_seconds: float = 0.0
    wait_seconds: float = 0.0
    build_seconds: float = 0.0
    saved_seconds: float = 0.0
    evicted_bytes: int = 0

    @property
    def hit_rate(self) -> float | None:
        """The share of what was asked for that the caller had not to build; None of nothing."""
        found = self.hits + self.waits
        return found / (found + self.misses) if found + self.misses else None


SUMS = tuple(field.name for field in fields(Sums))


class Hour(NamedTuple):
    """Sums of one namespace ("" where it is not known) in the hour that begins at `at`."""

    at: dt.datetime
    namespace: str
    sums: Sums


class Ranked(NamedTuple):
    """An entry that stands out; `bytes` are its shards and documents, as in `ls`."""

    key: str
    namespace: str
    bytes: int
    build_seconds: float
    uses: int
    created_at: dt.datetime
    last_used_at: dt.datetime | None


class Size(NamedTuple):
    """What was held when it last changed in the hour that begins at `at`, and the limit then."""

    at: dt.datetime
    bytes: int
    limit_bytes: int | None


@dataclass(frozen=True)
class Stats(Sums):
    """What `Cache.stats` tells: sums since `since` (None: of all that is known), and what is held.

    `groups` are the same sums by namespace ("" where it is not known), day or hour, if that was
    asked for. `shared_bytes` is what a cache without sharing would hold beyond `stored_bytes`.
    Dearest is what took longest to build, stalest what was used, or else made, the longest ago and
    is not pinned. Times are UTC.
    """

    since: dt.datetime | None = None
    entries: int = 0
    stored_bytes: int = 0
    shared_bytes: int = 0
    dearest: tuple[Ranked, ...] = ()
    largest: tuple[Ranked, ...] = ()
    stalest: tuple[Ranked, ...] = ()
    groups: Mapping[str, Sums] | None = None
    sizes: tuple[Size, ...] = ()


def total(some: Iterable[Sums]) -> dict[str, Any]:
    """Sums of sums, by their names."""
    listed = list(some)
    return {name: sum(getattr(sums, name) for sums in listed) for name in SUMS}


def grouped(hours: Iterable[Hour], by: str) -> dict[str, Sums]:
    """The sums by namespace, or by day or hour as `2026-11-28` and `2026-11-28 14:00`."""
    parted: dict[str, list[Sums]] = {}
    for at, namespace, sums in hours:
        name = namespace if by == "namespace" else at.strftime(GROUPS[by])
        parted.setdefault(name, []).append(sums)
    return {name: Sums(**total(parted[name])) for name in sorted(parted)}
