"""What `tensorcache vacuum` will do, as JSON has it and as people read it."""

from __future__ import annotations

from typing import Any

from tensorcache.cli import text
from tensorcache.vacuum import VacuumPlan


def described(plan: VacuumPlan) -> dict[str, Any]:
    """What goes, as JSON has it."""
    return {
        "entries": [victim._asdict() for victim in plan.entries],
        "orphans": [
            {"kind": kind, "digest": piece.digest, "bytes": piece.size_bytes}
            for kind, piece in plan.orphans
        ],
        "leftovers": [{"path": one.name, "bytes": one.size_bytes} for one in plan.leftovers],
        "quarantine": [{"path": one.name, "bytes": one.size_bytes} for one in plan.quarantine],
        "frees_bytes": plan.frees_bytes,
        "over_bytes": plan.over_bytes,
    }


def say(plan: VacuumPlan) -> None:
    """Print what goes, why, and how many bytes that gives back."""
    rows = [
        (victim.key[:16], victim.namespace, text.size(victim.frees_bytes), victim.why)
        for victim in plan.entries
    ]
    rows += [
        (piece.digest[:16], kind, text.size(piece.size_bytes), "no entry refers to it")
        for kind, piece in plan.orphans
    ]
    for leftovers, why in (
        (plan.leftovers, "left behind by a process that died"),
        (plan.quarantine, "found broken over a week ago"),
    ):
        rows += [(one.name, "", text.size(one.size_bytes), why) for one in leftovers]
    if rows:
        text.table(("what", "kind", "gives back", "why"), rows, right=("gives back",))
    kinds = (
        text.count(len(plan.entries), "entry", "entries"),
        text.count(len(plan.orphans), "orphan"),
        text.count(len(plan.leftovers) + len(plan.quarantine), "leftover"),
    )
    print(f"{', '.join(kinds)}: {text.size(plan.frees_bytes)}")
    if plan.over_bytes:
        text.remark(
            f"{text.size(plan.over_bytes)} over the limit still: what is pinned stays, and what "
            f"was used within the grace (--grace)"
        )
