"""VacuumPlan: what goes, why, and how many bytes come back.

Rules of this room: decide purely, then act. `plan` takes rows, a listing of the root and the
time, and touches nothing, so that a dry run is the plan itself; `apply` does what it says. A piece
counts as freed only when the last entry that refers to it goes. What is pinned, or was used within
the grace, stays.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorcache import disk
from tensorcache.manifest import AHEAD_SECONDS, Piece

if TYPE_CHECKING:  # the index costs 0.2 s of import, and nothing of it is called here
    from tensorcache.index import Holding, Holdings, Index

QUARANTINE_SECONDS = 7 * 86_400.0


class Victim(NamedTuple):
    """An entry that goes; `frees_bytes` is its manifest and the pieces that it is the last to hold.

    That holds if those before it in the plan go as well.
    """

    key: str
    namespace: str
    why: str
    frees_bytes: int


class VacuumPlan(NamedTuple):
    """What goes: entries in this order, (kind, piece) that no entry refers to, and what is left."""

    entries: tuple[Victim, ...]
    orphans: tuple[tuple[str, Piece], ...]
    leftovers: tuple[disk.Leftover, ...]
    quarantine: tuple[disk.Leftover, ...]
    frees_bytes: int
    over_bytes: int = 0  # what is over the limit still, since all that is left is to stay


def plan(
    holdings: Holdings,
    listing: disk.Listing,
    now: float,
    *,
    max_bytes: int | None = None,
    older_than_seconds: float | None = None,
    unused_for_seconds: float | None = None,
    grace_seconds: float = 3600.0,
) -> VacuumPlan:
    """What to remove so that the limits hold; orphans and leftovers always go.

    Age counts from `created_at`, disuse from the last use or, before any, from `created_at`. To
    come down to `max_bytes` of manifests and distinct pieces, the least recently used go first.
    Sizes are those of the listing. A row without a manifest holds nothing. While a manifest has
    no row, or an old one, nobody knows what it refers to, and no orphan goes.
    """
    live = [holding for holding in holdings.entries if holding.key in listing.entries]
    free = sorted(
        (h for h in live if h.pinned is None and now - touched_at(h, now) >= grace_seconds),
        key=lambda holding: (touched_at(holding, now), holding.created_at, holding.key),
    )
    holders = Counter(piece for holding in live for piece in set(holding.pieces))
    held_bytes = sum(listing.entries[holding.key] for holding in live)
    held_bytes += sum(listing.pieces.get(piece, 0) for piece in holders)
    reasons = {h.key: _too_old(h, now, older_than_seconds, unused_for_seconds) for h in free}
    victims = []
    for holding in sorted(free, key=lambda h: not reasons[h.key]):  # stable: oldest use first
        within = max_bytes is None or held_bytes <= max_bytes
        if within and not reasons[holding.key]:
            break
        why = reasons[holding.key] or (
            f"over the limit of {_size(max_bytes or 0)}, least recently used ({_ago(holding, now)})"
        )
        frees_bytes = listing.entries[holding.key] + _released(holding, holders, listing)
        held_bytes -= frees_bytes
        victims.append(Victim(holding.key, holding.namespace, why, frees_bytes))
    orphans = tuple(_orphans(live, listing))
    rotten = tuple(q for q in listing.quarantine if abs(now - q.mtime) >= QUARANTINE_SECONDS)
    frees_bytes = sum(victim.frees_bytes for victim in victims)
    frees_bytes += sum(piece.size_bytes for _, piece in orphans)
    frees_bytes += sum(leftover.size_bytes for leftover in (*listing.building, *rotten))
    over_bytes = max(0, held_bytes - max_bytes) if max_bytes is not None else 0
    return VacuumPlan(tuple(victims), orphans, listing.building, rotten, frees_bytes, over_bytes)


def clean(root: disk.Root, index: Index, *, dry_run: bool = False, **limits: Any) -> VacuumPlan:
    """Plan with `limits`, under the root lock, and do it; what of it was done.

    Raises:
        TensorCacheError, OSError: the cache cannot be changed now.
    """
    from tensorcache import rows  # the index: a plan needs none

    with disk.locked(root):
        rows.reconcile(root, index)
        holdings, unknown = rows.holdings(root, index)
        listing = disk.listing(root)._replace(behind=unknown)
        planned = plan(holdings, listing, time.time(), **limits)
        return planned if dry_run else apply(planned, root, index)


def apply(plan: VacuumPlan, root: disk.Root, index: Index) -> VacuumPlan:
    """Do what the plan says; what of it was done. The caller holds the root lock.

    An entry that a process has open is passed over, and what it holds with it. The plan was made
    under the same lock, so no piece can have found a holder since.
    """
    from tensorcache import rows  # the index: a plan needs none

    gone = set(rows.remove(root, index, [victim.key for victim in plan.entries], spare_open=True))
    rows.drop_pieces(root, index, plan.orphans, ask_all=True)
    for leftover in (*plan.leftovers, *plan.quarantine):
        disk.remove_leftover(root, leftover)
    entries = tuple(victim for victim in plan.entries if victim.key in gone)
    for victim in entries:
        use = (time.time(), "evict", victim.key, 0.0, victim.frees_bytes, victim.namespace, None)
        disk.append_use(root, use)
    kept_bytes = sum(victim.frees_bytes for victim in plan.entries if victim.key not in gone)
    return plan._replace(entries=entries, frees_bytes=plan.frees_bytes - kept_bytes)


def touched_at(holding: Holding, now: float) -> float:
    """When the entry was last used or made, in seconds since 1970.

    A time that is still to come tells of a clock that was wrong, and would keep it until then: 0.
    """
    times = (holding.created_at, holding.last_used_at or 0.0)
    return max((at for at in times if at <= now + AHEAD_SECONDS), default=0.0)


def _too_old(
    holding: Holding,
    now: float,
    older_than_seconds: float | None,
    unused_for_seconds: float | None,
) -> str:
    touched = touched_at(holding, now)
    age, idle = now - holding.created_at, now - touched
    if unused_for_seconds is not None and touched and idle >= unused_for_seconds:
        return f"unused for {_span(idle)}"
    if older_than_seconds is not None and age >= older_than_seconds:
        return f"made {_span(age)} ago"
    return ""


def _released(holding: Holding, holders: Counter[tuple[str, str]], listing: disk.Listing) -> int:
    """Let go of what `holding` holds; the bytes of what nobody holds any more."""
    released = 0
    for piece in set(holding.pieces):
        holders[piece] -= 1
        if not holders[piece]:
            released += listing.pieces.get(piece, 0)
    return released


def _orphans(live: list[Holding], listing: disk.Listing) -> Iterator[tuple[str, Piece]]:
    if listing.behind or len({holding.key for holding in live}) < len(listing.entries):
        return
    held = {piece for holding in live for piece in holding.pieces}
    for (kind, digest), size_bytes in sorted(listing.pieces.items()):
        if (kind, digest) not in held:
            yield kind, Piece(digest, size_bytes)


def _ago(holding: Holding, now: float) -> str:
    touched = touched_at(holding, now)
    return f"{_span(now - touched)} ago" if touched else "its clock was ahead of ours"


def _span(seconds: float) -> str:
    """`3 hours`: the largest unit of which there are at least two, or seconds."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return "1 second" if round(seconds) == 1 else f"{seconds:.0f} seconds"


def _size(size_bytes: int) -> str:
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= length:
            return f"{size_bytes / length:.1f} {unit}"
    return f"{size_bytes} bytes"
