"""Builds inside builds: stages that feed each other, and keys that ask for themselves."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from processes import start, wait_for

import tensorcache
from tensorcache import LeaseRecursion, LeaseTimeout


def ask(cache, name, build, inputs=None, **options):
    return cache.get_or_build(
        {"name": name} | (inputs or {}), build, version="1", namespace="t.nested", **options
    )


class Stages:
    """Lists, and batches of windows over them; `built` says what was built."""

    def __init__(self, cache):
        self.cache = cache
        self.built = []

    def lists(self, season):
        def build():
            self.built.append("lists")
            return [{"x": torch.full((1, 2), float(i))} for i in range(season)]

        return ask(self.cache, "lists", build, {"season": season})

    def batches(self, season, windows):
        lists = self.lists(season)

        def build():
            self.built.append("batches")
            return [{"x": one["x"] * w} for one in lists[""] for w in windows]

        return ask(self.cache, "batches", build, {"lists": lists, "windows": windows})


@pytest.fixture
def stages(cache):
    return Stages(cache)


def test_a_change_of_windows_rebuilds_batches_and_not_lists(stages):
    stages.batches(3, [10])
    stages.batches(3, [10, 30])
    last = stages.batches(3, [10, 30])

    assert last.hit
    assert stages.built == ["lists", "batches", "batches"]
    assert torch.equal(last[""][5]["x"], torch.full((1, 2), 60.0))


def test_a_change_of_lists_rebuilds_both_and_says_so(stages):
    old = stages.batches(3, [10])
    new = stages.batches(4, [10])

    keys = [stages.lists(season).key.digest[:8] for season in (3, 4)]
    assert stages.built == ["lists", "batches"] * 2
    assert f"inputs.lists: {keys[0]}… -> {keys[1]}…" in new.why
    assert old.key.short in new.why


def test_an_entry_is_its_key_among_the_inputs(stages):
    lists = stages.lists(3)

    by_entry, by_key = (
        stages.cache.key({"lists": one}, version="1", namespace="t.nested")
        for one in (lists, lists.key)
    )

    assert by_entry == by_key
    assert f'"lists":{{"$key":"{lists.key.digest}"}}' in by_key.text
    assert stages.batches(3, [1]).published
    frame = stages.cache.sql('SELECT lists FROM "t.nested" WHERE lists IS NOT NULL')
    assert frame["lists"].tolist() == [lists.key.digest]


@pytest.mark.parametrize("where", ["the same thread", "other threads"])
def test_a_build_may_ask_for_other_keys(cache, where):
    def inner(n):
        return ask(cache, f"inner {n}", lambda: n, refresh=n == 0)

    def outer():
        if where == "the same thread":
            return [inner(n).load() for n in range(4)]
        with ThreadPoolExecutor(4) as pool:
            return [one.load() for one in pool.map(inner, range(4))]

    entry = ask(cache, "outer", outer)

    assert entry.published
    assert entry.load() == [0, 1, 2, 3]
    assert len(cache.entries()) == 5
    assert [inner(n).hit for n in range(1, 4)] == [True] * 3


def test_a_key_that_asks_for_itself_by_another_is_told_so(cache):
    def first():
        return ask(cache, "second", second).load()

    def second():
        return ask(cache, "first", first).load()

    with pytest.raises(LeaseRecursion, match="asks for itself"):
        ask(cache, "first", first)
    assert len(cache.entries()) == 0
    assert os.listdir(Path(cache.root, "building")) == []
    assert ask(cache, "first", lambda: 1).load() == 1


def test_a_key_asked_for_by_another_thread_of_its_own_build_times_out(cache):
    """Whose thread asks for whom cannot be known: `wait` is what ends it."""

    def build():
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: ask(cache, "a", dict, wait=0.1)).result()

    with pytest.raises(LeaseTimeout, match="still being built"):
        ask(cache, "a", build)


MUTUAL = """
import os, sys, time, tensorcache
root, mine, other = sys.argv[1:]
cache = tensorcache.open(root)
def ask(name, build, wait=None):
    return cache.get_or_build({"name": name}, build, version="1", namespace="t.nested", wait=wait)
def build():
    open(f"{root}-{mine}", "w").close()
    while not os.path.exists(f"{root}-{other}"):
        time.sleep(0.005)
    return ask(other, dict, wait=0.3).load()
try:
    ask(mine, build)
except tensorcache.LeaseTimeout as error:
    print("timeout")
else:
    print("built")
"""


def test_two_processes_that_wait_for_each_other_time_out(cache, root):
    ends = [start(MUTUAL, root, *names) for names in (("a", "b"), ("b", "a"))]
    said = [process.communicate(timeout=60) for process in ends]

    assert "timeout\n" in {out for out, _ in said}
    assert {err for _, err in said} == {""}


def test_what_is_made_of_a_source_that_moved_is_not_published(cache, tmp_path, caplog):
    """The lists are of no state of the league, so no key is theirs, and none of what they feed."""
    path = tmp_path / "league.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE game (id INTEGER)")

        def build_lists():
            db.execute("INSERT INTO game VALUES (1)")
            db.commit()
            return [1]

        sources = {"league": tensorcache.database(path)}
        lists = ask(cache, "lists", build_lists, sources=sources)
        batches = ask(cache, "batches", lambda: lists.load() * 2, {"lists": lists})

    assert (lists.key, lists.published) == (None, False)
    assert (batches.key, batches.published) == (None, False)
    assert "an entry among the inputs is of no key" in batches.why
    assert "changed while it was read" in batches.why
    assert batches.load() == [1, 1]
    assert len(cache.entries()) == 0


def test_a_stage_that_was_vacuumed_is_still_a_name(stages):
    batches = stages.batches(3, [10])
    lists = stages.lists(3).key
    stages.cache.remove(lists)
    wait_for(lambda: lists not in stages.cache)

    again = ask(stages.cache, "batches", dict, {"lists": lists, "windows": [10]})

    assert again.hit
    assert again.key == batches.key
