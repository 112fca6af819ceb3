"""The tests are tested: seeded bugs die of them. All in the soak; else three, by turn."""

from __future__ import annotations

import importlib
import re
import shutil

import pytest
from faults.scale import reached, some
from mutants.run import AT_A_TIME, REPO, apply, judge, mutants, tree

EVERY = mutants()

if shutil.which("git") is None or not (REPO / ".git").exists():
    pytest.skip("patches need git, and a clone", allow_module_level=True)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return tree(tmp_path_factory.mktemp("mutants"))


def test_there_are_mutants_enough_and_each_says_what_it_breaks():
    assert len(EVERY) >= 40
    assert len({mutant.promise for mutant in EVERY}) == len(EVERY)


def test_every_patch_applies(copy):
    assert {mutant.name: apply(mutant, copy, "--check") for mutant in EVERY} == dict.fromkeys(
        (mutant.name for mutant in EVERY), ""
    )


def test_the_tests_that_kill_are_there():
    """Their parameters are tried where they run: all of them in the soak."""
    killers = {test.partition("[")[0] for mutant in EVERY for test in mutant.killers}
    named = [killer.split("::") for killer in sorted(killers)]

    assert [test for path, test in named if f"def {test}(" not in (REPO / path).read_text()] == []


def test_what_a_patch_calls_is_there():
    """Else its killers fail by a wrong name, and the promise has no test that dies of it."""
    called = {
        (mutant.name, room, name)
        for mutant in EVERY
        for line in mutant.patch.read_text().splitlines()
        if line.startswith("+") and not line.startswith("+++")
        for room, name in re.findall(r"\b(column|disk|rows|shard|source|tree)\.([a-z]\w*)\(", line)
    }
    rooms = {room: importlib.import_module(f"tensorcache.{room}") for _, room, _ in called}

    assert [one for one in sorted(called) if not hasattr(rooms[one[1]], one[2])] == []
    assert len(called) > 5


# That its killers pass without the patch, this very suite shows.
@pytest.mark.slow
@pytest.mark.parametrize("mutant", some(EVERY, AT_A_TIME), ids=lambda mutant: mutant.name)
def test_a_seeded_bug_is_found(mutant, copy):
    verdict = judge(mutant, copy)
    if "skipped" in verdict.why:
        pytest.skip(verdict.why)

    assert verdict.why == ""
    reached("mutants", killed=1)
