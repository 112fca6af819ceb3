"""VacuumPlan: what goes, why, and how many bytes come back.

Rules of this room: decide purely, then act. `plan` takes what rows and the root say and the time,
and touches nothing, so that a dry run is the plan itself; `apply` does what it says. A piece
counts as freed only when the last entry that refers to it goes. What is pinned, open, or was used
within the grace, stays.
"""

from __future__ import annotations

import contextlib
import heapq
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tensorcache import disk
from tensorcache.errors import LeaseTimeout
from tensorcache.limits import Bounds, Limits, size_text
from tensorcache.manifest import AHEAD_SECONDS, Piece
from tensorcache.tree import collector_paused

if TYPE_CHECKING:  # the index costs 0.2 s of import, and nothing of it is called here
    from tensorcache.index import Index, Weighed, Weights

QUARANTINE_SECONDS = 7 * 86_400.0
EVENT_SECONDS = 90 * 86_400.0  # after which an event is only in the sums of its hour
GRACE_SECONDS = 3600.0
ROUNDS = 2  # plans that met what is open, each of which may take seconds


class Victim(NamedTuple):
    """An entry that goes; `frees_bytes` is its manifest and the pieces that it is the last to hold.

    That holds if those before it in the plan go as well.
    """

    key: str
    namespace: str
    why: str
    frees_bytes: int


class VacuumPlan(NamedTuple):
    """What goes: entries in this order, (kind, piece) that no entry refers to, and what is left.

    `over_bytes` is what is over the limit still, since all that is left is to stay. `events` are
    those too old to be kept one by one. `index_bytes` is by how much the index became smaller,
    which is known once it is done. `spared` are so many that were asked for by age or state, and
    stay: pinned, open, or used within the grace. `held_bytes` are of all manifests and pieces.
    """

    entries: tuple[Victim, ...]
    orphans: tuple[tuple[str, Piece], ...]
    leftovers: tuple[disk.Leftover, ...]
    quarantine: tuple[disk.Leftover, ...]
    frees_bytes: int
    over_bytes: int = 0
    events: int = 0
    index_bytes: int = 0
    spared: int = 0
    held_bytes: int = 0


class Found(NamedTuple):
    """What lies in a root beside its entries: pieces of nobody, what the dead left, old events."""

    orphans: Collection[tuple[str, Piece]] = ()
    leftovers: tuple[disk.Leftover, ...] = ()
    quarantine: tuple[disk.Leftover, ...] = ()
    events: int = 0

    def of(self, listed: VacuumPlan) -> Found:
        """No more of it than was listed; old events, whose sums stay, are not looked at."""
        orphans = set(listed.orphans).intersection(self.orphans)
        leftovers, quarantine = (
            tuple(one for one in found if one.name in {other.name for other in were})
            for found, were in (
                (self.leftovers, listed.leftovers),
                (self.quarantine, listed.quarantine),
            )
        )
        return Found(orphans, leftovers, quarantine, self.events)


class Terms(NamedTuple):
    """What is to go. Sizes in bytes, times in seconds; None asks nothing.

    An entry goes that is older than, unused for, `stale` (why, by its key), or over `max_bytes` of
    manifests and distinct pieces, or while `lack_bytes` are to come back. `namespace`, `only` (the
    keys of a condition) and `keep_last` (so many of each namespace stay) narrow that; where nothing
    else is asked, all goes that `only` or `keep_last` leave.
    """

    max_bytes: int | None = None
    lack_bytes: int = 0
    policy: str = "worth"
    older_than_seconds: float | None = None
    unused_for_seconds: float | None = None
    stale: Mapping[str, str] | None = None
    keep_last: int | None = None
    namespace: str | None = None
    only: Collection[str] | None = None
    grace_seconds: float = GRACE_SECONDS

    @property
    def asks_for_room_alone(self) -> bool:
        """Whether no entry goes by its age or state, and so all that go do for a limit."""
        by_state = (self.older_than_seconds, self.unused_for_seconds, self.stale)
        return not self.takes_what_is_left and all(one is None for one in by_state)

    @property
    def takes_what_is_left(self) -> bool:
        """Whether nothing is asked but `only` or `keep_last`, and so all goes that these leave."""
        asked = (self.max_bytes, self.older_than_seconds, self.unused_for_seconds, self.stale)
        narrowed = self.only is not None or self.keep_last is not None
        return narrowed and all(one is None for one in asked)

    def within(self, bounds: Bounds, held_bytes: int) -> Terms:
        """The limits of the cache, where nothing is asked but a namespace."""
        if self != Terms(
            policy=self.policy, namespace=self.namespace, grace_seconds=self.grace_seconds
        ):
            return self
        lack_bytes = bounds._replace(max_bytes=None).over(held_bytes)
        return self._replace(max_bytes=bounds.max_bytes, lack_bytes=lack_bytes)


def plan(
    weights: Weights, found: Found, now: float, terms: Terms, opened: Collection[str] = ()
) -> VacuumPlan:
    """What to remove so that the terms hold; what no entry refers to always goes.

    Age counts from `created_at`, disuse from the last use or, before any, from `created_at`. What
    is asked for by its age or state goes first, longest unused first; then, to come down to the
    limit, by the policy. The keys `opened` are open in a process.
    """
    from tensorcache import retention  # the index: whoever made `weights` has it by now

    entries = weights.entries
    touched = [retention.touched_at(one, now) for one in entries]
    asked = _asked(entries, terms)
    free = [
        place
        for place in asked
        if now - touched[place] >= terms.grace_seconds
        and not entries[place].stays
        and entries[place].key not in opened
    ]
    reasons, spared = {}, 0
    if not terms.asks_for_room_alone:
        due = {p: why for p in asked if (why := _reason(entries[p], touched[p], now, terms))}
        reasons = {place: due[place] for place in free if place in due}
        spared = len(due) - len(reasons)
    held_bytes = retention.held_bytes(weights)
    rotten = tuple(q for q in found.quarantine if abs(now - q.mtime) >= QUARANTINE_SECONDS)
    swept_bytes = sum(piece.size_bytes for _, piece in found.orphans)
    swept_bytes += sum(leftover.size_bytes for leftover in (*found.leftovers, *rotten))
    gone, over_bytes = retention.goes(
        weights,
        sorted(reasons, key=lambda p: (touched[p], entries[p].key)),
        [p for p in free if p not in reasons],
        max(
            0 if terms.max_bytes is None else held_bytes - terms.max_bytes,
            terms.lack_bytes - swept_bytes,
        ),
        retention.ranking(terms.policy, now, terms.max_bytes),
    )
    limit, same = _limit(terms), dict[str, str]()
    by_worth = f"{limit}worth least" if terms.policy == "worth" else ""

    def victim(place: int, frees_bytes: int) -> Victim:
        one = entries[place]
        why = reasons.get(place) or by_worth or limit + _ago(terms.policy, one, touched[place], now)
        why = same.setdefault(why, why)  # one text for all of whom it is said
        return Victim(one.key, one.namespace, why, frees_bytes)

    victims = tuple(victim(*one) for one in gone)
    freed_bytes = swept_bytes + sum(one.frees_bytes for one in victims)
    orphans = tuple(sorted(found.orphans))
    swept = (found.leftovers, rotten, freed_bytes, over_bytes, found.events)
    return VacuumPlan(victims, orphans, *swept, spared=spared, held_bytes=held_bytes)


def clean(
    root: disk.Root,
    index: Index,
    terms: Terms,
    limits: Limits,
    *,
    dry_run: bool,
    listed: VacuumPlan | None = None,
) -> VacuumPlan:
    """Plan under the root lock, and do it; what of it was done.

    The limits of the cache hold where the terms ask for nothing. What is not in `listed`, an
    earlier plan, stays: who agreed to that has seen nothing of what came since.

    Raises:
        TensorCacheError, OSError: the cache cannot be changed now.
    """
    from tensorcache import retention, rows  # the index: a plan needs none
    from tensorcache.index import old_events

    with disk.locked(root):
        behind = rows.reconcile(root, index)
        now = time.time()
        with collector_paused():  # there may be a million entries, and all stay till then
            weights, orphans = rows.weights(root, index, behind)
            events = rows.mended(root, index, lambda: old_events(index, now - EVENT_SECONDS))
            found = Found(orphans, *disk.leftovers(root), events)
            terms = terms.within(limits.bounds(root.path), retention.held_bytes(weights))
            planned = _settled(root, weights, found, now, terms, listed)
        return planned if dry_run else apply(planned, root, index, now)


def _settled(
    root: disk.Root,
    weights: Weights,
    found: Found,
    now: float,
    terms: Terms,
    listed: VacuumPlan | None,
) -> VacuumPlan:
    """A plan of which nobody has an entry open, and that takes nothing which is not `listed`."""
    looked_at: set[str] = set()
    opened: set[str] = set()
    if listed is not None:
        found = found.of(listed)
        opened.update(one.key for one in weights.entries)
        opened.difference_update(victim.key for victim in listed.entries)
    rounds = 0
    while True:
        planned = plan(weights, found, now, terms, opened)
        new = {victim.key for victim in planned.entries} - looked_at
        if new and rounds == ROUNDS:  # many are open: ask all of them, not one plan for each
            new = {one.key for one in weights.entries} - looked_at
        looked_at |= new
        more = disk.opened_among(root, new)
        if not more:
            return planned
        opened |= more
        rounds += 1


def apply(plan: VacuumPlan, root: disk.Root, index: Index, now: float) -> VacuumPlan:
    """Do what the plan says; what of it was done. The caller holds the root lock.

    An entry that a process opened since is passed over, and what it holds with it. The plan was
    made under the same lock, so no piece can have found a holder since.
    """
    from tensorcache import rows  # the index: a plan needs none
    from tensorcache.index import Use, forget_events

    gone = set(rows.remove(root, index, [victim.key for victim in plan.entries], spare_open=True))
    disk.unlink_pieces(root, plan.orphans)
    for leftover in (*plan.leftovers, *plan.quarantine):
        disk.remove_leftover(root, leftover)
    entries = tuple(victim for victim in plan.entries if victim.key in gone)
    index_bytes = 0
    if index.revision() and not rows.is_behind(index):
        with rows.unless_full(), contextlib.suppress(LeaseTimeout):  # who reads it may go on
            index.take(
                [Use(now, "evict", one.key, 0.0, one.frees_bytes, one.namespace) for one in entries]
            )
            forget_events(index, now - EVENT_SECONDS)
            index_bytes = index.compact()
    kept_bytes = sum(victim.frees_bytes for victim in plan.entries if victim.key not in gone)
    return plan._replace(
        entries=entries, frees_bytes=plan.frees_bytes - kept_bytes, index_bytes=index_bytes
    )


def _asked(entries: Sequence[Weighed], terms: Terms) -> Sequence[int]:
    """The places of those that the terms are about."""
    newest, places = _newest(entries, terms.keep_last), range(len(entries))
    if terms.namespace is None and terms.only is None and not newest:
        return places
    return [
        place
        for place in places
        if terms.namespace in (None, entries[place].namespace)
        and (terms.only is None or entries[place].key in terms.only)
        and place not in newest
    ]


def _newest(entries: Sequence[Weighed], most: int | None) -> set[int]:
    """The places of the newest of each namespace."""
    by_namespace: dict[str, list[int]] = {}
    for place, one in enumerate(entries if most else ()):
        by_namespace.setdefault(one.namespace, []).append(place)
    return {
        place
        for places in by_namespace.values()
        for place in heapq.nlargest(
            most or 0, places, key=lambda p: (entries[p].created_at, entries[p].key)
        )
    }


def _reason(one: Weighed, touched: float, now: float, terms: Terms) -> str:
    """Why it goes whatever is held; "" if only a limit may take it."""
    age, idle = now - one.created_at, now - touched
    if terms.unused_for_seconds is not None and touched and idle >= terms.unused_for_seconds:
        return f"unused for {_span(idle)}"
    if terms.older_than_seconds is not None and age >= terms.older_than_seconds:
        return f"made {_span(age)} ago"
    if terms.stale and one.key in terms.stale:
        return terms.stale[one.key]
    if not terms.takes_what_is_left:
        return ""
    return "not among the newest of its namespace" if terms.only is None else "as it was asked for"


def _limit(terms: Terms) -> str:
    if terms.max_bytes is None:
        return "too little of the disk is free, "
    return f"over the limit of {size_text(terms.max_bytes)}, "


def _ago(policy: str, one: Weighed, touched: float, now: float) -> str:
    at = touched if policy == "lru" else one.created_at
    ago = (
        f"{_span(now - at)} ago" if 0 < at <= now + AHEAD_SECONDS else "its clock was ahead of ours"
    )
    return f"{'least recently used' if policy == 'lru' else 'made longest ago'} ({ago})"


def _span(seconds: float) -> str:
    """`3 hours`: the largest unit of which there are at least two, or seconds."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return "1 second" if round(seconds) == 1 else f"{seconds:.0f} seconds"
