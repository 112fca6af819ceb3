"""Laws 1 and 8: killed at any call, a process leaves a cache that is whole."""

from __future__ import annotations

import shutil
from random import Random

import pytest
from deeds import DEEDS, begin, code_of, is_whole
from roots import PREAMBLE, get, hit, named_by_manifests, names_in, rows, same
from scale import HOURS, IS_SOAK, _turn, deaths_at, reached, some

import tensorcache

SAMPLE = 12  # deaths of each deed within `make test`


@pytest.mark.slow
@pytest.mark.parametrize("deed", DEEDS)
def test_killed_at_any_call_a_process_leaves_a_whole_cache(deed, nurse, seed, shm):
    root = shm / "cache"
    code = code_of(deed, root)
    begin(deed, root, seed)
    calls = nurse.calls(code, root)
    assert len(calls) > 10
    deaths = some(deaths_at(calls), SAMPLE)
    for call in deaths:
        begin(deed, root, seed)
        nurse.kill_at(code, *call)
        is_whole(root, deed)
    reached("killed", cases=len(deaths))


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


# What is durable of a deed, one call of this name after the other.
ORDER = [("put", "rename"), ("refresh", "rename"), ("remove", "unlink"), ("vacuum", "unlink")]


@pytest.mark.slow
@pytest.mark.parametrize(("deed", "name"), ORDER)
def test_at_every_moment_a_manifest_has_its_pieces_and_a_new_row_its_manifest(
    deed, name, nurse, seed, shm
):
    root = shm / "ordered"
    code = code_of(deed, root)
    begin(deed, root, seed)
    calls = [call for call in nurse.calls(code, root) if call.name == name]
    assert len(calls) > 3
    for call in calls:
        begin(deed, root, seed)
        nurse.kill_at(code, *call)
        assert named_by_manifests(root) <= names_in(root, "entries", "shards", "documents")
        if name == "rename":
            manifests = {path[-72:-8] for path in names_in(root, "entries")}
            assert {key for (key,) in rows(root, "SELECT key FROM entry")} <= manifests
    reached("killed", cases=len(calls))


# What comes after a death, and dies as well.
RECOVERY = "cache = tensorcache.open({root!r}); get(cache, 2); get(cache, 3)\n"
RECOVERY += "cache.vacuum(grace_seconds=0)"
CHANGING = [deed for deed in DEEDS if deed not in ("get", "verify")]
PAIRS = int(1000 * HOURS) if IS_SOAK else 20


@pytest.mark.slow
@pytest.mark.timeout(3000 if IS_SOAK else 300)
@pytest.mark.parametrize("deed", some(CHANGING, 2))
def test_killed_again_while_it_recovers_it_leaves_a_whole_cache(deed, nurse, seed, shm):
    root, dead = shm / "twice", shm / "dead"
    random = Random(f"{_turn()} {deed}")
    code = code_of(deed, root)
    recovery = PREAMBLE + RECOVERY.format(root=str(root))
    begin(deed, root, seed)
    calls = nurse.calls(code, root)
    pairs = max(1, PAIRS // len(some(CHANGING, 2)))
    cases = 0
    while cases < pairs:
        first = random.choice(deaths_at(calls))
        begin(deed, root, seed)
        nurse.kill_at(code, *first)
        if not root.exists():  # it died before all it might have left
            continue
        shutil.rmtree(dead, ignore_errors=True)
        shutil.move(root, dead)  # each copy is of the same state, the first one too
        shutil.copytree(dead, root)
        later = deaths_at(nurse.calls(recovery, root))
        for second in random.sample(later, min(10, pairs - cases)):
            shutil.rmtree(root)
            shutil.copytree(dead, root)
            nurse.kill_at(recovery, *second)
            try:
                is_whole(root, deed)
            except AssertionError as error:
                raise AssertionError(f"killed at {first}, then at {second}") from error
            cases += 1
    reached("killed twice", cases=cases)
