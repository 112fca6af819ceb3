"""Retention: what goes first where a cache is to be smaller, and the limit that publications keep.

Rules of this room: choose purely, then act. What goes first is what is worth least (`worth.py`), or
what was used or made longest ago. What several entries share comes back with the last of them, so
each that goes may make another worth less, which is weighed anew. `vacuum` chooses among all
entries by the same rule; a publication looks at a few hundred, by indexes, for others wait for it.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from tensorcache import disk, rows
from tensorcache.index import Asking, Index, Weighed, Weights, bytes_of_large, window
from tensorcache.limits import Bounds, Limits, size_text
from tensorcache.manifest import AHEAD_SECONDS, Manifest

ROWS_SECONDS = 1.0  # for an index that is locked: others wait behind us, and rows can come later
GRACE_SECONDS = 3600.0
MOST_VICTIMS = 256  # of one publication
SLACK = 0.01  # of the limit: what goes beyond need, so that not every publication has to choose
ROUNDS = 8  # of choosing anew, where what was chosen turns out to be open
Rank = Callable[[Weighed, int], float]  # of an entry and the bytes that come back with it
_log = logging.getLogger("tensorcache")


class Weighing:
    """What comes back with each entry, by its place, as others are taken out before it.

    `alone_bytes` is that by now; `changed` are the places of those of whom the last that was taken
    out made more come back.
    """

    def __init__(self, weights: Weights) -> None:
        self._entries, self._shared = weights
        self._holders = {number: piece.holders for number, piece in weights.shared.items()}
        self._places = dict.fromkeys(weights.shared, 0)  # their sum: of one that is left, its place
        for place, one in enumerate(weights.entries, 1):
            for number in one.shared:
                self._places[number] += place
        self.alone_bytes = [one.alone_bytes for one in weights.entries]
        self.changed: list[int] = []

    def take(self, place: int) -> int:
        """Take it out; the bytes that come back."""
        self.changed = []
        back_bytes = self.alone_bytes[place]
        for number in self._entries[place].shared:
            self._holders[number] -= 1
            self._places[number] -= place + 1
            last = self._places[number] - 1
            if self._holders[number] == 1 and last >= 0:  # else it is none of the entries
                self.alone_bytes[last] += self._shared[number].size_bytes
                self.changed.append(last)
        return back_bytes


def ranking(policy: str, now: float, max_bytes: int | None) -> Rank:
    """By the policy, the lowest goes first; before all others what is larger than the limit alone.

    Nothing else can bring the cache within it.
    """
    most = math.inf if max_bytes is None else max_bytes

    def by_worth(one: Weighed, alone_bytes: int) -> float:
        if alone_bytes > most:
            return -math.inf
        if alone_bytes == one.alone_bytes:
            return one.worth
        return one.worth + math.log2(max(one.alone_bytes, 1)) - math.log2(max(alone_bytes, 1))

    def by_time(one: Weighed, alone_bytes: int) -> float:
        if alone_bytes > most:
            return -math.inf
        return touched_at(one, now) if policy == "lru" else one.created_at

    return by_worth if policy == "worth" else by_time


def touched_at(one: Weighed, now: float) -> float:
    """When the entry was last used or made, in seconds since 1970.

    A time that is still to come tells of a clock that was wrong, and would keep it until then: 0.
    """
    ahead = now + AHEAD_SECONDS
    made_at = one.created_at if one.created_at <= ahead else 0.0
    return max(made_at, one.touched_at if one.touched_at <= ahead else 0.0)


def held_bytes(weights: Weights) -> int:
    """The bytes of all manifests, and of each piece once."""
    alone_bytes = sum(one.alone_bytes for one in weights.entries)
    return alone_bytes + sum(piece.size_bytes for piece in weights.shared.values())


def goes(
    weights: Weights, first: Sequence[int], free: Iterable[int], over_bytes: int, rank: Rank
) -> tuple[list[tuple[int, int]], int]:
    """The places of those that go, each with the bytes that come back; what is over still.

    `first` go in any case, and then of those that are `free` as many as `over_bytes` takes.
    """
    weighing = Weighing(weights)
    gone = [(place, weighing.take(place)) for place in first]
    need_bytes = over_bytes - sum(frees_bytes for _, frees_bytes in gone)
    gone += lowest(weights, weighing, free, need_bytes, rank)
    taken = needed(weights, [place for place, _ in gone], over_bytes, fixed=len(first))
    if len(taken) < len(gone):
        gone = in_turn(weights, taken)
    return gone, max(0, over_bytes - sum(frees_bytes for _, frees_bytes in gone))


def lowest(
    weights: Weights, weighing: Weighing, free: Iterable[int], need_bytes: int, rank: Rank
) -> list[tuple[int, int]]:
    """As `goes`, in that order, until `need_bytes` come back or none is left."""
    if need_bytes <= 0:
        return []
    entries, waits = weights.entries, bytearray(len(weights.entries))

    def ranked(place: int) -> tuple[float, str, int, int]:
        one, alone_bytes = entries[place], weighing.alone_bytes[place]
        waits[place] = True
        return rank(one, alone_bytes), one.key, alone_bytes, place

    left = sorted(map(ranked, free), reverse=True)  # the lowest is the last
    anew: list[tuple[float, str, int, int]] = []  # a heap
    gone = []
    while need_bytes > 0 and (left or anew):
        is_anew = anew and not (left and left[-1] < anew[0])
        *_, alone_bytes, place = heapq.heappop(anew) if is_anew else left.pop()
        if not waits[place] or alone_bytes != weighing.alone_bytes[place]:
            continue  # it was weighed anew since
        waits[place] = False
        need_bytes -= weighing.take(place)
        gone.append((place, alone_bytes))
        for last in weighing.changed:
            if waits[last]:
                heapq.heappush(anew, ranked(last))
    return gone


def needed(
    weights: Weights, taken: Sequence[int], need_bytes: float, *, fixed: int = 0
) -> list[int]:
    """`taken`, without those whose shared pieces stay anyway and whose manifests nobody needs.

    So that none of many who share a shard goes for nothing. The last of `taken` is spared first,
    the `fixed` first ones never; and none where all of them are not enough.
    """
    entries, shared = weights
    stay = {number: piece.holders for number, piece in shared.items()}
    back_bytes, least_bytes = 0, 1 << 62
    for place in taken:  # once: they lie anywhere in memory, and there may be a million
        alone_bytes, numbers = entries[place][-2:]
        back_bytes += alone_bytes
        least_bytes = min(least_bytes, alone_bytes)
        for number in numbers:
            stay[number] -= 1
    back_bytes += sum(shared[number].size_bytes for number, left in stay.items() if not left)
    spared = set()
    for place in reversed(taken[fixed:]):
        if back_bytes - least_bytes < need_bytes:
            break  # nobody can be spared any more
        one = entries[place]
        helps = not one.shared or one.alone_bytes > one.manifest_bytes
        if helps or not all(stay[number] for number in one.shared):
            continue
        if back_bytes - one.alone_bytes >= need_bytes:
            spared.add(place)
            back_bytes -= one.alone_bytes
            for number in one.shared:
                stay[number] += 1
    return [place for place in taken if place not in spared]


def in_turn(weights: Weights, taken: Iterable[int]) -> list[tuple[int, int]]:
    """What comes back with each of `taken`, one after the other."""
    weighing = Weighing(weights)
    return [(place, weighing.take(place)) for place in taken]


def freed_bytes(weights: Weights, taken: Iterable[int]) -> int:
    """What comes back with all of them."""
    return sum(frees_bytes for _, frees_bytes in in_turn(weights, taken))


def chosen(
    weights: Weights, over_bytes: int, slack_bytes: int, slack_entries: int, rank: Rank
) -> tuple[list[tuple[int, int]], int]:
    """What a publication removes: as `goes`, of all entries, but no more than `MOST_VICTIMS`.

    Of those that share, none goes for its manifest where that does not bring us within the limit;
    and none for the slack, unless manifests are all that comes back: then `slack_entries` do.
    """
    everybody = range(len(weights.entries))
    gone, _ = goes(weights, (), everybody, over_bytes + slack_bytes, rank)
    taken = [place for place, _ in gone[:MOST_VICTIMS]]
    if freed_bytes(weights, taken) < over_bytes:
        taken = freeing_more(weights, over_bytes, slack_bytes, rank)
    else:
        least = needed(weights, taken, over_bytes)
        manifests_bytes = sum(weights.entries[place].manifest_bytes for place in least)
        by_manifests = freed_bytes(weights, least) == manifests_bytes
        taken = needed(weights, taken, over_bytes, fixed=slack_entries if by_manifests else 0)
    gone = in_turn(weights, taken)
    return gone, max(0, over_bytes - sum(frees_bytes for _, frees_bytes in gone))


def freeing_more(weights: Weights, over_bytes: int, slack_bytes: int, rank: Rank) -> list[int]:
    """Those that free more than a manifest, where too many that do not come before them.

    With as many of these as there is room for, if that brings us within the limit.
    """
    everybody = lowest(weights, Weighing(weights), range(len(weights.entries)), 1 << 62, rank)
    places = [place for place, _ in everybody]
    more = in_turn(weights, needed(weights, places, -math.inf))[:MOST_VICTIMS]
    sums = itertools.accumulate((frees_bytes for _, frees_bytes in more), initial=0)
    many = sum(freed < over_bytes + slack_bytes for freed in sums)
    taken = needed(weights, [place for place, _ in more[:many]], -math.inf)
    filled = list(dict.fromkeys([*taken, *places]))[:MOST_VICTIMS]
    if freed_bytes(weights, taken) < over_bytes <= freed_bytes(weights, filled):
        return needed(weights, filled, over_bytes, fixed=len(taken))
    return taken


def follow(
    root: disk.Root, limits: Limits, published: Manifest, say: Callable[[str], object]
) -> None:
    """Write the rows that are due after a publication, and remove what is over the limits now.

    Raises:
        TensorCacheError, OSError: it cannot be done now.
    """
    index = Index(root.join("index.sqlite"), patience_seconds=ROWS_SECONDS)
    bounds = limits.bounds(root.path)
    index.limit_bytes = bounds.max_bytes
    rows.bring_up(root, index)
    _keep_within(root, index, limits.policy, bounds, published, say)


def _keep_within(
    root: disk.Root,
    index: Index,
    policy: str,
    bounds: Bounds,
    published: Manifest,
    say: Callable[[str], object],
) -> None:
    """Remove what goes first until the limits hold, after a publication and under its lock.

    What cannot be kept is said: a limit below the entry itself, or below all that has to stay.
    """
    (entries, held), limit = index.held(), bounds.max_bytes
    over_bytes = bounds.over(held)
    if not over_bytes:
        return
    own_bytes = published.size_bytes + os.stat(disk.manifest_path(root, published.key)).st_size
    if limit is not None and own_bytes > limit:
        say(
            f"entry {published.key[:16]} of {size_text(own_bytes)} is larger than the limit of "
            f"{size_text(limit)} (max_size): it is stored, and drives no other out"
        )
        return
    asking = Asking(policy, time.time(), GRACE_SECONDS, limit)
    spare = {published.key, *disk.read_pins(root)}
    slack = int(SLACK * (limit or 0)), int(SLACK * entries)
    keeping = _Keeping(root, index, asking, spare, slack)
    victims, left_bytes = keeping.victims(over_bytes)
    large_bytes = 0
    if left_bytes and limit is not None:
        large_bytes = bytes_of_large(index, limit, spare, asking.now - GRACE_SECONDS)
    if large_bytes:  # what is larger than the limit, and has to stay, drives no others out either
        victims, _ = keeping.victims(over_bytes - large_bytes)
        left_bytes = over_bytes - sum(frees_bytes for *_, frees_bytes in victims)
    of = f"{size_text(bounds.min_free_bytes or 0)} free (min_free)"
    if limit is not None and held > limit:
        of = f"{size_text(limit)} (max_size)"
    keeping.remove(victims, of)
    if left_bytes > 0 and len(victims) < MOST_VICTIMS:  # else the next publications go on with it
        say(
            f"the limit of {of} is below the working set: what is pinned, open, or was used within "
            "the last hour stays, and what shares its files with that: change it, or unpin some"
        )


class _Keeping(NamedTuple):
    """A publication about to make room; `spare` are the keys that stay."""

    root: disk.Root
    indexed: Index
    asking: Asking
    spare: set[str]
    slack: tuple[int, int]  # of chosen

    def victims(self, over_bytes: int) -> tuple[list[tuple[str, str, int]], int]:
        """Key, namespace and bytes of those that go; and what is over still.

        Where one turns out to be open, all among which it was chosen are looked at.
        """
        if over_bytes <= 0:
            return [], 0
        rank = ranking(self.asking.policy, self.asking.now, self.asking.max_bytes)
        for _ in range(ROUNDS):
            weights, digests = window(self.indexed, self.asking, self.spare)
            gone, left_bytes = chosen(weights, over_bytes, *self.slack, rank)
            victims = [(*weights.entries[place][:2], frees) for place, frees in gone]
            if all(self._may_go(key, digests[key]) for key, *_ in victims):
                return victims, left_bytes
            self.spare.update(key for key in digests if not self._may_go(key, digests[key]))
        return [], over_bytes

    def _may_go(self, key: str, digest: str) -> bool:
        """Whether nobody has it open, and it is what its rows say: not of a format to come."""
        try:
            is_known = disk.generation_of(self.root, key) == digest
        except FileNotFoundError:
            return True  # only its rows are left
        except OSError:
            return False
        return is_known and not disk.is_open(self.root, key)

    def remove(self, victims: list[tuple[str, str, int]], limit: str) -> None:
        """Take them away, and say in one line what went."""
        if not victims:
            return
        keys = [key for key, *_ in victims]
        gone = set(rows.remove(self.root, self.indexed, keys, spare_open=True))
        went = [victim for victim in victims if victim[0] in gone]
        for key, namespace, frees_bytes in went:
            use = (self.asking.now, "evict", key, 0.0, frees_bytes, namespace, None)
            disk.append_use(self.root, use)
        _log.info(
            "evicted %d entries, %s: over the limit of %s",
            len(went),
            size_text(sum(frees_bytes for *_, frees_bytes in went)),
            limit,
        )
