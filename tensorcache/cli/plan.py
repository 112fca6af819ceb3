"""`tensorcache vacuum`: what goes, why, and how many bytes come back; then it goes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from typing import Annotated, Any

import typer

from tensorcache.cli import options, text
from tensorcache.cli.options import AsJson, CacheDir, Yes
from tensorcache.limits import POLICIES, Limits, Size, policy_of
from tensorcache.vacuum import VacuumPlan

SHOWN = 1_000  # rows that a person is shown; --json has all


MaxSize = Annotated[Size | None, options.limit("Keep so much, as in '20GB' or '30%' of the disk.")]
OlderThan = Annotated[float | None, options.time("Remove what was made so long ago, as in '30d'.")]
UnusedFor = Annotated[
    float | None, options.time("Remove what was not used for so long, as in '12h'.")
]
Stale = Annotated[
    bool,
    typer.Option(
        "--stale",
        help="Remove what nobody asks for again: its source changed or is gone, another version "
        "of its code is in use, or its format is old.",
    ),
]
KeepLast = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Spare the newest N of each namespace.")
]
Namespace = Annotated[
    str | None, typer.Option(metavar="NAME", help="Remove entries of this namespace only.")
]
Where = Annotated[
    str, typer.Option(metavar="SQL", help="Remove only what it holds of, as in ls --where.")
]
Policy = Annotated[
    str,
    typer.Option(
        metavar="POLICY",
        help=f"What goes first over a limit: {', '.join(POLICIES)} (worth unless given).",
    ),
]
Grace = Annotated[float | None, options.time("Spare what was used within it (1h unless given).")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only list what would go.")]


def vacuum(
    max_size: MaxSize = None,
    older_than: OlderThan = None,
    unused_for: UnusedFor = None,
    stale: Stale = False,
    keep_last: KeepLast = None,
    namespace: Namespace = None,
    where: Where = "",
    policy: Policy = "",
    grace: Grace = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    cache: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """Remove entries beyond the limits, and always what no entry refers to.

    Lists what goes, why, and how many bytes come back, before it does anything. What is pinned or
    open in a process stays. Without options it keeps the limits of the cache: a fifth of the disk,
    at most 50 GB, or TENSORCACHE_MAX_SIZE. --namespace, --where and --keep-last narrow the others;
    --where and --keep-last alone remove all that they leave.
    """
    policy = _policy(policy)
    if not dry_run:
        options.check_can_ask(yes=yes)
    opened = options.opened(cache, changes=True)
    clean = partial(
        opened.vacuum,
        max_bytes=None if max_size is None else _bytes(max_size, opened.root),
        older_than_seconds=older_than,
        unused_for_seconds=unused_for,
        stale=stale,
        keep_last=keep_last,
        namespace=namespace,
        where=where,
        policy=policy,
        grace_seconds=3600.0 if grace is None else grace,
    )
    goes = clean(dry_run=True)
    say_json(goes) if as_json else say(goes)
    anything = goes.entries or goes.orphans or goes.leftovers or goes.quarantine
    if dry_run or (anything and not options.agreed("Remove these?", yes=yes)):
        return
    gone = clean(listed=goes)  # and nothing that came while it was read
    removed = text.count(len(gone.entries), "entry", "entries")
    smaller = f"; the index is {text.size(gone.index_bytes)} smaller" if gone.index_bytes else ""
    text.remark(f"removed {removed}; {text.size(gone.frees_bytes)} came back{smaller}")


def _bytes(size: Size, path: str) -> int:
    found = Limits(size, None, "").bounds(path).max_bytes
    return sys.maxsize if found is None else found  # as much as anybody has: "none"


def _policy(typed: str) -> str:
    try:
        return typed and policy_of(typed)
    except ValueError as error:
        raise options.WrongUse(f"--policy: {error}") from error


def say_json(plan: VacuumPlan) -> None:
    """Print what goes as JSON, which may be a million entries: an object a line."""
    lists: dict[str, Iterator[dict[str, Any]]] = {
        "entries": (victim._asdict() for victim in plan.entries),
        "orphans": (
            {"kind": kind, "digest": piece.digest, "bytes": piece.size_bytes}
            for kind, piece in plan.orphans
        ),
        "leftovers": ({"path": one.name, "bytes": one.size_bytes} for one in plan.leftovers),
        "quarantine": ({"path": one.name, "bytes": one.size_bytes} for one in plan.quarantine),
    }
    print("{")
    for name, objects in lists.items():
        print(f'  "{name}": [', end="")
        for number, one in enumerate(objects):
            print(",\n    " if number else "\n    ", json.dumps(one), sep="", end="")
        print("\n  ],")
    for name in ("events", "frees_bytes", "held_bytes", "spared"):
        print(f'  "{name}": {getattr(plan, name)},')
    print(f'  "over_bytes": {plan.over_bytes}\n}}')


def say(plan: VacuumPlan) -> None:
    """Print what goes, why, and how many bytes that gives back."""
    rows: Iterator[tuple[str, str, str, str]] = chain(
        (
            (victim.key[:16], victim.namespace, text.size(victim.frees_bytes), victim.why)
            for victim in plan.entries
        ),
        (
            (piece.digest[:16], kind, text.size(piece.size_bytes), "no entry refers to it")
            for kind, piece in plan.orphans
        ),
        (
            (one.name, "", text.size(one.size_bytes), why)
            for leftovers, why in (
                (plan.leftovers, "left behind by a process that died"),
                (plan.quarantine, "found broken over a week ago"),
            )
            for one in leftovers
        ),
    )
    if shown := list(islice(rows, SHOWN)):
        text.table(("what", "kind", "gives back", "why"), shown, right=("gives back",))
    if hidden := sum(1 for _ in rows):
        print(f"… and {hidden} more: --json lists all")
    kinds = [
        text.count(len(plan.entries), "entry", "entries"),
        text.count(len(plan.orphans), "orphan"),
        text.count(len(plan.leftovers) + len(plan.quarantine), "leftover"),
    ]
    kinds += [text.count(plan.events, "old event")] if plan.events else []
    held = text.size(plan.held_bytes)
    print(f"{', '.join(kinds)}: {text.size(plan.frees_bytes)}, and entries hold {held}")
    if plan.spared:
        text.remark(
            f"spared {text.count(plan.spared, 'entry', 'entries')}: pinned, open, or used within "
            f"the grace (an hour, unless --grace says otherwise)"
        )
    if plan.over_bytes:
        text.remark(
            f"{text.size(plan.over_bytes)} over the limit still: what is pinned stays, and what "
            f"was used within the grace (--grace)"
        )
