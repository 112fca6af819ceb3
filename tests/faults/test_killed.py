"""Laws 1 and 8: killed at any call, a process leaves a cache that is whole."""

from __future__ import annotations

import shutil

import pytest
from deeds import DEEDS, begin, code_of, is_whole
from roots import PREAMBLE, get, hit, names_in, rows, same
from scale import reached, some

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
    deaths = some(calls, SAMPLE)
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
