"""Laws 1 and 8: killed at any instruction, a process leaves a cache that is whole."""

from __future__ import annotations

import os
import shutil

import pytest
from processes import nursery
from roots import PREAMBLE, get, hit, named_by_manifests, names_in, rows, same

import tensorcache

# --- 1. the manifest's appearance is the commit; 8. killed at any instruction ---

DEEDS = {
    "the first opening": "tensorcache.open(ROOT)",
    "a build": "get(tensorcache.open(ROOT), 3)",
    "a build beside no index": "os.unlink(ROOT + '/index.sqlite'); get(tensorcache.open(ROOT), 3)",
    "a build beside a broken index": "get(tensorcache.open(ROOT), 3)",
    "a refresh": "get(tensorcache.open(ROOT), 2, refresh=True)",
    "a removal": "cache = tensorcache.open(ROOT); cache.remove(get(cache, 2).key)",
    "a vacuum": "tensorcache.open(ROOT).vacuum(max_bytes=1, grace_seconds=0)",
    "a pin": "cache = tensorcache.open(ROOT); cache.pin(get(cache, 1).key, 'keep')",
}
# Most of these are SQLite's, tested by its authors; of ours, the fsync that follows stands for all.
SAMPLED = {"pwrite64": 25, "fdatasync": 5, "write": 4}
SAFE = {"a build", "a build beside no index", "a build beside a broken index", "a refresh", "a pin"}


@pytest.fixture(scope="module")
def nurse(shm):
    with nursery(shm) as nurse:
        yield nurse


@pytest.fixture(scope="module")
def seed(shm):
    """A root with two entries that share a shard, and one hit in its journal."""
    root = shm / "seed"
    with tensorcache.open(root) as cache:
        for n in (1, 2, 1):
            get(cache, n)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("deed", DEEDS)
def test_killed_at_any_change_it_makes_a_process_leaves_a_whole_cache(deed, nurse, seed, shm):
    root = shm / "cache"
    code = f"{PREAMBLE}\nimport os\nROOT = {str(root)!r}\n{DEEDS[deed]}"

    def begin():
        shutil.rmtree(root, ignore_errors=True)
        if deed != "the first opening":
            shutil.copytree(seed, root)
        if "broken" in deed:
            (root / "index.sqlite").write_text("no database" * 99)

    begin()
    changes = nurse.changes(code)
    assert changes["rename"] > 0
    assert changes["fsync"] > 0
    for call, made in changes.items():
        step = SAMPLED.get(call, 1) * (3 if "index" in deed else 1)
        for count in range(1, made + 1, step):
            begin()
            nurse.kill_at(code, call, count)
            is_whole_after_a_death(root, deed)


def is_whole_after_a_death(root, deed):
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


def test_what_a_dead_writer_left_is_taken_in_by_the_next_one(nurse, seed, shm):
    root = shm / "noted"
    shutil.copytree(seed, root)
    tensorcache.open(root).entries()  # takes in the journal, so that a build's rows come first
    code = f"{PREAMBLE}\nget(tensorcache.open({str(root)!r}), 3)"
    nurse.kill_at(code, "fdatasync", 1)  # SQLite's first: the manifest is there, the rows are not
    counted = rows(root, "SELECT count(*) FROM entry")
    noted = [name for name in names_in(root, "building") if name.endswith(".note")]
    with tensorcache.open(root) as cache:
        same(hit(cache, 3), 3)
        get(cache, 4)

    assert counted == [(2,)]
    assert len(noted) == 1
    assert rows(root, "SELECT count(*) FROM entry") == [(4,)]
    assert not any(name.endswith(".note") for name in names_in(root, "building"))
