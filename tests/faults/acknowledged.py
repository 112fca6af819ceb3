"""What a power cut may take: nothing that was acknowledged, and of the rest all or nothing.

A sequence is one step after another on the root of `deeds.make_seed`. When a step has returned, the
child says so outside the disk that loses its power; so whatever it left must be found afterwards.
The step under way may have happened or not.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import NamedTuple

from deeds import DEEDS, begin, is_whole, key_of
from roots import PREAMBLE, names_in, rows, same

import tensorcache


class Step(NamedTuple):
    """Code, and what there is of each thing afterwards; None, if nothing."""

    code: str
    leaves: dict[int | str, object]


MARKER, PIN = "marker", "pin of 1"
UNWRITABLE = "put beside an index of a newer version"
SEQUENCES = {
    "first open": [Step(DEEDS["first open"], {MARKER: True})],
    "put": [Step(DEEDS["put"], {3: 3})],
    "get_or_build": [Step(DEEDS["get_or_build"], {3: 3})],
    "get_or_build without index": [Step(DEEDS["get_or_build without index"], {3: 3})],
    "get_or_build beside a broken index": [
        Step(DEEDS["get_or_build beside a broken index"], {3: 3})
    ],
    # SQLite syncs nothing here that would bring the manifest to the disk by chance.
    UNWRITABLE: [Step(DEEDS["put"], {3: 3})],
    "refresh": [Step(DEEDS["refresh"], {2: 12})],
    "remove": [Step(DEEDS["remove"], {2: None})],
    "vacuum": [Step(DEEDS["vacuum"], {1: None, 2: None})],
    "pin": [Step(DEEDS["pin"], {PIN: True})],
    "migrate": [Step(DEEDS["migrate"], {})],
    "one after another": [
        Step("cache = tensorcache.open(ROOT); cache.put(key(cache, 3), payload(3))", {3: 3}),
        Step("get(cache, 2, refresh=True)", {2: 12}),
        Step("cache.remove(key(cache, 3))", {3: None}),
        Step("get(cache, 3)", {3: 3}),
        Step("cache.pin(key(cache, 1), 'keep')", {PIN: True}),
        Step("cache.vacuum(grace_seconds=0)", {}),
    ],
}


def prepare(name: str, root: str, seed: str) -> None:
    """Lay out what the sequence begins with."""
    begin(name, Path(root), Path(seed))
    if name != "first open":
        with tensorcache.open(root) as cache:  # so that what is there is vouched for
            assert all(cache.get(key_of(cache, n)) is not None for n in (1, 2))
    if name == UNWRITABLE:
        with contextlib.closing(sqlite3.connect(Path(root, "index.sqlite"))) as index, index:
            index.execute("UPDATE alembic_version SET version_num = '9999'")


def code_of(name: str, root: Path, said: Path) -> str:
    """The sequence, for a child; each step that returned is one byte more in `said`."""
    lines = [
        PREAMBLE,
        "import os",
        "from deeds import key_of as key",
        "from acknowledged import acknowledge",
        f"ROOT = {str(root)!r}",
    ]
    for step in SEQUENCES[name]:
        lines += [step.code, f"acknowledge({str(said)!r})"]
    return "\n".join(lines)


def acknowledge(said: str) -> None:
    """Say that one more step has returned."""
    descriptor = os.open(said, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, b".")
    os.close(descriptor)


def promised(name: str, acknowledged: int) -> dict[int | str, set[object]]:
    """What may be found of each thing when so many steps were acknowledged."""
    first = {} if name == "first open" else {1: 1, 2: 2, MARKER: True}
    may_be = {thing: {first.get(thing)} for thing in (1, 2, 3, MARKER, PIN)}
    for place, step in enumerate(SEQUENCES[name][: acknowledged + 1]):
        for thing, left in step.leaves.items():
            may_be[thing] = {left} if place < acknowledged else may_be[thing] | {left}
    return may_be


def survived(name: str, root: str, acknowledged: int) -> None:
    """What was acknowledged is there to the last bit, the rest whole or not at all; the cache goes
    on, and leaves no rest.
    """
    there = {MARKER: os.path.exists(os.path.join(root, "tensorcache.json")) or None}
    with tensorcache.open(root) as cache:
        if "beside" not in name:
            faults = cache.verify(deep=True)
            assert faults == [], faults
        there |= {n: _found(cache, n) for n in (1, 2, 3)}
        pin = os.path.join(root, "pins", key_of(cache, 1).digest)
        there[PIN] = os.path.exists(pin) or None
    for thing, may_be in promised(name, acknowledged).items():
        assert there[thing] in may_be, f"{thing}: {there[thing]}, after {acknowledged}: {may_be}"
    if name == UNWRITABLE:
        os.unlink(os.path.join(root, "index.sqlite"))
    is_whole(Path(root), name)
    manifests = {os.path.basename(path)[:64] for path in names_in(root, "entries")}
    assert {key for (key,) in rows(root, "SELECT key FROM entry")} == manifests
    tag = Path(root, "CACHEDIR.TAG").read_bytes()
    assert tag.startswith(b"Signature: 8a477f597d28d172789f06886806bc55"), tag


def _found(cache: tensorcache.Cache, n: int) -> int | None:
    """Which payload is found under key `n`, compared to the last bit."""
    entry = cache.get(key_of(cache, n))
    if entry is None:
        return None
    made = n if len(entry["names"]) == n else n + 10
    same(entry, made)
    return made
