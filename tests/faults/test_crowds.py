"""Many at once: 64 commit, 32 open, some read what others replace, and some are killed."""

from __future__ import annotations

import collections
import itertools
import os
import shutil
import time
from pathlib import Path

import crowd
import pytest
import storm
from roots import names_in, rows
from scale import IS_SOAK, reached, seconds

import tensorcache

pytestmark = pytest.mark.usefixtures("one_crowd")


def writes_of(root):
    """How many transactions the index has seen, by the counter in its header."""
    with open(Path(root, "index.sqlite"), "rb") as file:
        return int.from_bytes(file.read(28)[24:], "big")


@pytest.mark.slow
def test_sixty_four_processes_commit_at_once_and_none_fails(shm):
    root, puts = shm / "commits", 50 if IS_SOAK else 5
    took = sorted(itertools.chain(*crowd.together(crowd.commit, 64, root, puts)))
    p99_seconds = took[len(took) * 99 // 100]

    assert len(took) == 64 * puts
    assert len(names_in(root, "entries")) == len(took) + 1  # and the first, of their parent
    assert rows(root, "SELECT count(*) FROM entry") == [(len(took) + 1,)]
    assert names_in(root, "building") == set()
    with tensorcache.open(root) as cache:
        for n, i in itertools.product(range(64), range(0, puts, 5)):
            entry = cache[crowd.key_of(cache, n=n, i=i)]
            assert (entry["n"], entry["i"], int(entry["x"].sum())) == (n, i, 8 * (1000 * n + i))
        assert cache.verify(deep=True) == []
    reached("64 committing", commits=len(took), p99_seconds=p99_seconds, worst_seconds=took[-1])


@pytest.mark.slow
def test_thirty_two_processes_open_a_new_root_at_once(shm):
    base, rounds = shm / "new", 20 if IS_SOAK else 2
    base.mkdir()
    crowd.together(crowd.open_new, 32, base, rounds)

    for turn in range(rounds):
        root = base / str(turn)
        assert (root / "tensorcache.json").read_text() == '{"format": 1}\n'
        assert len(names_in(root, "entries")) == 4
        assert rows(root, "SELECT count(*) FROM entry") == [(4,)]
        assert {name for name in os.listdir(root) if name.startswith(".tensorcache-")} == set()
        with tensorcache.open(root) as cache:
            assert cache.verify(deep=True) == []
    reached("32 opening", rounds=rounds, failures=0)


def lose(index):
    index.unlink()


def garble(index):
    index.write_bytes(b"no database" * 500)


@pytest.mark.slow
@pytest.mark.parametrize("harm", [lose, garble])
def test_thirty_two_processes_make_one_index_once(harm, shm):
    seed, alone, root = (shm / f"{harm.__name__}-{name}" for name in ("seed", "alone", "root"))
    with tensorcache.open(seed) as cache:
        for n in range(3):
            cache.put(crowd.key_of(cache, n=n), crowd.payload(n, 1))
    harm(seed / "index.sqlite")
    rounds = 20 if IS_SOAK else 1
    for _ in range(rounds):
        for copy in (alone, root):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(seed, copy)
        tensorcache.open(alone).upgrade()
        said = list(itertools.chain(*crowd.together(crowd.upgrade, 32, root)))

        assert writes_of(root) == writes_of(alone) > 0
        aside = [name for name in names_in(root, "quarantine") if name.endswith(".sqlite")]
        assert len(said) == len(aside) == (harm is garble)
        assert rows(root, "SELECT count(*) FROM entry") == [(3,)]
        with tensorcache.open(root) as cache:
            assert cache.verify(deep=True) == []
    reached("one migration", rounds=rounds, failures=0)


@pytest.mark.slow
def test_readers_see_one_generation_or_none_whatever_is_replaced_or_evicted(shm):
    root = shm / "reading"
    told = crowd.together(crowd.reading, 7, root, seconds(3, 20))
    done = sum((collections.Counter(one["done"]) for one in told), collections.Counter())

    assert [one["said"] for one in told] == [[]] * 7
    assert min(done[what] for what in ("read", "refreshed", "replaced", "vacuumed")) > 0
    with tensorcache.open(root) as cache:
        assert cache.verify(deep=True) == []
        cache.vacuum(max_bytes=1, grace_seconds=0)
        assert cache.verify(deep=True) == []
    assert names_in(root, "entries", "shards", "documents", "building") == set()
    reached("readers", reads=done["read"], misses=done["missed"], wrong=0)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_in_a_storm_of_kills_nothing_acknowledged_is_lost(shm):
    root, file = shm / "storm", shm / "acknowledged"
    lasts = seconds(6, 60)
    (kills,) = crowd.together(storm.strike, 1, root, file, lasts)
    lines = [line.split(" ", 1) for line in file.read_text().splitlines()]
    acknowledged = {name for what, name in lines if what == "put"}
    removed = {name for what, name in lines if what == "removing"}

    assert [text for what, text in lines if what == "wrong"] == []
    assert kills > lasts
    began = time.monotonic()
    with tensorcache.open(root) as cache:
        cache.put(crowd.key_of(cache, name="after"), storm.named("after"))
        assert time.monotonic() - began < 5  # no lock outlived its holder
        assert cache.verify(deep=True) == []
        for name in acknowledged - removed:
            storm.is_named(cache[crowd.key_of(cache, name=name)], name)
        cache.vacuum(grace_seconds=0)
        assert cache.verify(deep=True) == []
    assert names_in(root, "building") == set()
    reads = sum(int(name) for what, name in lines if what == "read")
    reached(
        "storm", kills=kills, acknowledged=len(acknowledged), reads=reads, lost=0, wrong=0
    )  # fmt: skip
