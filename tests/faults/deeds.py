"""What a process does to a root when something befalls it: one deed for each way to change one.

A deed is code for a child of the nursery; `ROOT` is the root. All but the first opening begin with
a copy of `seed`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from roots import (
    PREAMBLE,
    flip,
    get,
    hit,
    named_by_manifests,
    names_in,
    payload,
    rows,
    same,
    shards_of,
)

import tensorcache

DEEDS = {
    "first open": "tensorcache.open(ROOT)",
    "get": "cache = tensorcache.open(ROOT); cache[key(cache, 1)].load()",
    "put": "cache = tensorcache.open(ROOT); cache.put(key(cache, 3), payload(3))",
    "get_or_build": "get(tensorcache.open(ROOT), 3)",
    "get_or_build without index": (
        "os.unlink(ROOT + '/index.sqlite'); get(tensorcache.open(ROOT), 3)"
    ),
    "get_or_build beside a broken index": "get(tensorcache.open(ROOT), 3)",
    "refresh": "get(tensorcache.open(ROOT), 2, refresh=True)",
    "remove": "cache = tensorcache.open(ROOT); cache.remove(key(cache, 2))",
    "vacuum": "tensorcache.open(ROOT).vacuum(max_bytes=1, grace_seconds=0)",
    "pin": "cache = tensorcache.open(ROOT); cache.pin(key(cache, 1), 'keep')",
    "verify": "tensorcache.open(ROOT).verify(deep=True)",
    "migrate": "tensorcache.open(ROOT).upgrade()",
    "repair of what is broken": "tensorcache.open(ROOT).verify(deep=True, repair=True)",
    "reindex": "tensorcache.open(ROOT).reindex()",
    "reindex of a broken index": "tensorcache.open(ROOT).reindex()",
}
# Deeds that take nothing away: what was there before is a hit after any death.
HARMFUL = ("first open", "remove", "vacuum", "repair of what is broken")
SAFE = {name for name in DEEDS if name not in HARMFUL}


def make_seed(root: Path) -> None:
    """A root with two entries that share a shard, and one hit in its journal."""
    with tensorcache.open(root) as cache:
        for n in (1, 2, 1):
            get(cache, n)


def warm_up(root: str) -> None:
    """Do each once, so that no child compiles the statements, or runs the revisions, anew."""
    make_seed(Path(root))
    with tensorcache.open(root) as cache:
        cache.pin(key_of(cache, 1), "keep")
        cache.put(key_of(cache, 3), payload(3))
        get(cache, 2, refresh=True)
        cache.reindex()
        cache.remove(key_of(cache, 2))
        cache.vacuum(max_bytes=1, grace_seconds=0)
        assert cache.verify(deep=True) == []


def key_of(cache: tensorcache.Cache, n: int) -> tensorcache.Key:
    """The key of `get(cache, n)`."""
    return cache.key({"n": n}, version="1", namespace="t.laws")


def code_of(deed: str, root: Path) -> str:
    """The deed, for a child."""
    return "\n".join(
        [
            PREAMBLE,
            "import os",
            "from deeds import key_of as key",
            f"ROOT = {str(root)!r}",
            DEEDS[deed],
        ]
    )


def begin(deed: str, root: Path, seed: Path) -> None:
    """Lay out what the deed begins with."""
    shutil.rmtree(root, ignore_errors=True)
    if deed != "first open":
        shutil.copytree(seed, root)
    if deed == "migrate":
        (root / "index.sqlite").unlink()
    if "broken" in deed:
        (root / "index.sqlite").write_text("no database" * 99)
    if "repair" in deed:
        flip(shards_of(root)[0])


def is_whole(root: Path, deed: str) -> None:
    """Whatever befell the deed, the cache opens, has lost nothing, goes on, and leaves no rest."""
    with tensorcache.open(root) as cache:
        assert "broken" in deed or cache.verify(deep=True) == []
        for n in (1, 2, 3):
            if n < 3 and deed in SAFE:
                hit(cache, n)
            entry = get(cache, n)
            assert entry.published
            same(entry, 12 if n == 2 and len(entry["names"]) == 12 else n)
            del entry
        cache.vacuum(grace_seconds=0)
        assert cache.verify(deep=True) == []
    assert names_in(root, "entries", "shards", "documents", "building") == named_by_manifests(root)
    assert len(names_in(root, "entries")) == 3
    assert {name for name in os.listdir(root) if name.startswith(".tensorcache-")} == set()
    pins = {name.removeprefix("pins/") for name in names_in(root, "pins") if ".tens" not in name}
    assert {key for (key,) in rows(root, "SELECT key FROM entry WHERE pinned NOTNULL")} == pins
    if deed == "reindex":  # whatever it took over, it was never without it
        assert rows(root, "SELECT count(*) FROM event WHERE kind = 'build'")[0][0] >= 2
