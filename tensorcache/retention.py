"""Retention: what goes first where a cache is to be smaller, and the limit that publications keep.

Rules of this room: choose purely, then act. What goes first is what is worth least (`worth.py`), or
what was used or made longest ago. What several entries share comes back with the last of them, so
each that goes may make another worth less, which is weighed anew. `vacuum` chooses among all
entries by the same rule; a publication looks at a few hundred, by indexes, for others wait for it.
"""

from __future__ import annotations

import heapq
import logging
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from tensorcache import disk, rows
from tensorcache.index import Holding, Index, Shared
from tensorcache.limits import Bounds, Limits
from tensorcache.manifest import AHEAD_SECONDS, Manifest

GRACE_SECONDS = 3600.0
MOST_VICTIMS = 256  # of one publication
SLACK = 0.01  # of the limit: what goes beyond need, so that not every publication removes something
ROUNDS = 8  # of choosing anew, where what was chosen turns out to be open
_log = logging.getLogger("tensorcache")


class Gone(NamedTuple):
    """An entry that goes, and what comes back if those before it go as well."""

    holding: Holding
    frees_bytes: int


class Weighing:
    """What comes back with each of `entries`, by its place there, as they are taken out."""

    def __init__(self, entries: Sequence[Holding], shared: Mapping[int, Shared]) -> None:
        self._entries = entries
        self._shared = shared
        self._holders = {number: piece.holders for number, piece in shared.items()}
        self._places = dict.fromkeys(shared, 0)  # their sum: of one that is left, its place
        for place, holding in enumerate(entries, 1):
            for number in holding.shared:
                self._places[number] += place
        self._alone = [holding.alone_bytes for holding in entries]

    def alone_bytes(self, place: int) -> int:
        """What would come back with it now."""
        return self._alone[place]

    def take(self, place: int) -> list[int]:
        """Take it out; the places of those who hold something alone by that."""
        left = []
        for number in self._entries[place].shared:
            self._holders[number] -= 1
            self._places[number] -= place + 1
            last = self._places[number] - 1
            if self._holders[number] == 1 and last >= 0:  # else it is none of `entries`
                self._alone[last] += self._shared[number].size_bytes
                left.append(last)
        return left


def rank_of(policy: str, holding: Holding, alone_bytes: int, now: float) -> float:
    """The lowest goes first; `alone_bytes` is what would come back with it by now."""
    if policy == "lru":
        return touched_at(holding, now)
    if policy == "oldest":
        return holding.created_at
    return holding.worth + math.log2(max(holding.alone_bytes, 1)) - math.log2(max(alone_bytes, 1))


def touched_at(holding: Holding, now: float) -> float:
    """When the entry was last used or made, in seconds since 1970.

    A time that is still to come tells of a clock that was wrong, and would keep it until then: 0.
    """
    times = (holding.created_at, holding.touched_at)
    return max((at for at in times if at <= now + AHEAD_SECONDS), default=0.0)


def lowest(
    entries: Sequence[Holding],
    weighing: Weighing,
    places: Iterable[int],
    need_bytes: int,
    rank: Callable[[Holding, int], float],
) -> list[int]:
    """The places of those that go, in that order, until `need_bytes` come back or none is left."""
    free = set(places)
    heap = [
        (rank(entries[place], alone), entries[place].key, alone, place)
        for place in free
        for alone in (weighing.alone_bytes(place),)
    ]
    heapq.heapify(heap)
    taken = []
    while need_bytes > 0 and heap:
        _, key, alone, place = heapq.heappop(heap)
        if place not in free or alone != weighing.alone_bytes(place):
            continue  # it was weighed anew since
        free.discard(place)
        taken.append(place)
        need_bytes -= alone
        for last in weighing.take(place):
            if last in free:
                alone = weighing.alone_bytes(last)
                heapq.heappush(heap, (rank(entries[last], alone), entries[last].key, alone, last))
    return taken


def needed(
    entries: Sequence[Holding],
    shared: Mapping[int, Shared],
    taken: Sequence[int],
    need_bytes: float,
) -> list[int]:
    """`taken`, without those whose shared pieces stay anyway and whose manifests nobody needs.

    So that none of many who share a shard goes for nothing. The last of `taken` is spared first.
    """
    stay = {number: piece.holders for number, piece in shared.items()}
    for place in taken:
        for number in entries[place].shared:
            stay[number] -= 1
    back_bytes = sum(entries[place].alone_bytes for place in taken)
    back_bytes += sum(shared[number].size_bytes for number, left in stay.items() if not left)
    spared = set()
    for place in reversed(taken):
        holding = entries[place]
        helps = not holding.shared or any(not stay[number] for number in holding.shared)
        if not helps and back_bytes - holding.alone_bytes >= need_bytes:
            spared.add(place)
            back_bytes -= holding.alone_bytes
            for number in holding.shared:
                stay[number] += 1
    return [place for place in taken if place not in spared]


def gone_of(
    entries: Sequence[Holding], shared: Mapping[int, Shared], taken: Iterable[int]
) -> list[Gone]:
    """What comes back with each of `taken`, one after the other."""
    weighing, gone = Weighing(entries, shared), []
    for place in taken:
        gone.append(Gone(entries[place], weighing.alone_bytes(place)))
        weighing.take(place)
    return gone
