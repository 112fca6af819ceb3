"""Clocks that jump by ten years, in real processes: nothing live goes, and nothing stays for ever.

libfaketime lends a process a clock that a file sets; times of files stay as they are.
"""

from __future__ import annotations

import datetime as dt
import glob
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import ENVIRONMENT, wait_for
from roots import get, hit, names_in, rows, same, shards_of
from scale import reached

import tensorcache
from tensorcache.index.uses import MOST_EVENTS

JUMPS = (3650, -3650)
DEAD = "0" * 32
# A process that runs a line at a time, under the clock of its file.
CLOCKED = """
import os, sys, time, tensorcache, torch
from roots import get, hit, payload
cache = tensorcache.open(sys.argv[1])
def jump(days):
    with open(sys.argv[2] + "~", "w") as file:
        file.write(f"{days:+d}d")
    os.replace(sys.argv[2] + "~", sys.argv[2])
print("ready", flush=True)
for line in sys.stdin:
    exec(eval(line))
    print("done", flush=True)
"""


def library():
    found = sorted(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"))
    return found[0] if found else None


class Clocked:
    """A process with a clock of its own."""

    def __init__(self, root, clock):
        clock.write_text("+0d")
        environment = {
            **ENVIRONMENT,
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLOCKED, str(root), str(clock)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout.readline() == "ready\n"

    def begin(self, code):
        print(repr(code), file=self.process.stdin, flush=True)

    def __call__(self, code):
        self.begin(code)
        assert self.process.stdout.readline() == "done\n"

    def end(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def place(shm):
    return shm / "clock"


@pytest.fixture(scope="module")
def clocked(place, tmp_path_factory):
    if library() is None:
        pytest.skip("libfaketime is not installed")
    clocked = Clocked(place, tmp_path_factory.mktemp("clock") / "file")
    clocked("jump(3650)\nassert time.time() > 1.9e9")  # it works
    yield clocked
    clocked.end()


@pytest.fixture
def cache(clocked, place):
    """Emptied before each test, and whole after it."""
    clocked("jump(0)")
    with tensorcache.open(place) as cache:
        for key in names_in(place, "pins"):
            cache.unpin(Path(key).name)
        cache.vacuum(older_than_seconds=-1e9, max_bytes=1, grace_seconds=-1e9)
        assert names_in(place, "entries") == set()
        yield cache
        assert cache.verify(deep=True) == []
    reached("clock", cases=1)


def evicted(cache, **limits):
    return {victim.key for victim in cache.vacuum(**limits).entries}


pytestmark = pytest.mark.slow


@pytest.mark.parametrize("days", JUMPS)
def test_what_was_made_under_another_clock_is_a_hit_and_can_be_evicted(days, cache, clocked):
    clocked(f"jump({days})\nget(cache, 1)\nget(cache, 2)\ncache.pin(get(cache, 2).key)")
    key = hit(cache, 1).key.digest

    same(hit(cache, 1), 1)
    same(hit(cache, 2), 2)
    assert evicted(cache) == set()
    assert evicted(cache, max_bytes=1) == set()  # it was used just now, by our clock
    assert evicted(cache, max_bytes=1, grace_seconds=0) == {key}
    same(hit(cache, 2), 2)


def test_what_nobody_used_since_a_clock_was_ahead_does_not_stay_for_ever(cache, clocked):
    clocked("jump(3650)\nold = get(cache, 1).key.digest")
    new = get(cache, 2).key.digest

    assert new not in evicted(cache, max_bytes=1)
    assert len(cache.entries()) == 1
    same(hit(cache, 2), 2)


def test_what_was_used_when_a_clock_was_ahead_does_not_stay_for_ever(cache, clocked):
    key = get(cache, 1).key.digest
    clocked("jump(3650)\nhit(cache, 1)")

    assert evicted(cache, max_bytes=1) == set()  # it was made just now
    assert evicted(cache, max_bytes=1, grace_seconds=0) == {key}


def test_a_use_by_a_right_clock_counts_though_another_was_ahead(cache, clocked):
    get(cache, 1)
    clocked("jump(3650)\nhit(cache, 1)")
    cache.entries()
    hit(cache, 1)
    ((used_at,),) = cache.table("SELECT last_used_at FROM entry").rows

    assert (
        abs(dt.datetime.fromisoformat(used_at).replace(tzinfo=dt.UTC).timestamp() - time.time())
        < 60
    )


@pytest.mark.parametrize("days", JUMPS)
def test_a_vacuum_under_another_clock_takes_nothing_that_is_open_or_pinned(days, cache, clocked):
    held, pinned = get(cache, 1), get(cache, 2).key
    cache.pin(pinned)
    get(cache, 3)
    clocked(f"jump({days})\nassert cache.vacuum().entries == ()")
    same(hit(cache, 3), 3)
    clocked(
        "cache.vacuum(max_bytes=1, older_than_seconds=1, unused_for_seconds=1, grace_seconds=0)"
    )

    same(held, 1)
    same(hit(cache, 1), 1)
    same(hit(cache, 2), 2)
    assert len(cache.entries()) == 2


@pytest.mark.parametrize("days", JUMPS)
def test_a_clock_behind_makes_nothing_old(days, cache, clocked):
    """Nor does one that jumps back: what is to come has no age."""
    get(cache, 1)
    limits = "older_than_seconds=1, unused_for_seconds=1, grace_seconds=0"
    clocked(f"jump({days})\ncache.vacuum({limits})")

    assert len(cache.entries()) == (1 if days < 0 else 0)


@pytest.mark.parametrize("days", JUMPS)
def test_a_clock_that_jumps_during_a_build_changes_nothing(days, cache, clocked):
    clocked(
        f"entry = cache.get_or_build({{'n': 1}}, lambda: (jump({days}), payload(1))[1], "
        f"version='1', namespace='t.laws')\nassert entry.published, entry.why\ndel entry"
    )

    same(hit(cache, 1), 1)
    assert evicted(cache) == set()


def test_a_lease_has_no_clock(cache, place, tmp_path):
    """It is waited for while its holder lives, and had at once when that is dead."""
    builder = Clocked(place, tmp_path / "clock")
    try:
        builder.begin(
            "jump(3650)\ndef build(): os.read(os.pipe()[0], 1)\n"
            "cache.get_or_build({'n': 1}, build, version='1', namespace='t.laws')"
        )
        wait_for(lambda: any(name.endswith(".lock") for name in names_in(place, "building")))
        for days in (3650, -3650):
            (tmp_path / "clock").write_text(f"{days:+d}d")
            with pytest.raises(tensorcache.LeaseTimeout):
                cache.get_or_build({"n": 1}, dict, version="1", namespace="t.laws", wait=0.2)
            cache.vacuum(grace_seconds=0)
            with pytest.raises(tensorcache.LeaseTimeout):
                cache.get_or_build({"n": 1}, dict, version="1", namespace="t.laws", wait=0.2)
    finally:
        builder.end()
    began = time.monotonic()
    same(get(cache, 1), 1)

    assert time.monotonic() - began < 1


@pytest.mark.parametrize("days", JUMPS)
def test_what_was_set_aside_under_another_clock_goes_too(days, cache, clocked, place):
    get(cache, 1)
    for shard in shards_of(place):
        data = shard.read_bytes()
        shard.unlink()
        shard.write_bytes(data[:-1])
    clocked(f"jump({days})\nassert cache.get(cache.key({{'n': 1}}, version='1', namespace='t.laws')"
            f") is None")  # fmt: skip
    aside = names_in(place, "quarantine")
    cache.vacuum(grace_seconds=0)
    same(get(cache, 1), 1)

    assert aside
    assert names_in(place, "quarantine") == set()


def test_files_from_the_future_are_as_good_as_others(cache, place):
    get(cache, 1)
    (place / "building" / DEAD).mkdir(parents=True)
    (place / f".tensorcache-{DEAD}").write_text("half")
    later = time.time() + 10 * 365 * 86_400
    for name in names_in(place, ""):
        os.utime(place / name, (later, later))
    os.utime(place / "building" / DEAD, (later, later))
    same(hit(cache, 1), 1)
    same(get(cache, 2), 2)

    assert evicted(cache) == set()
    assert names_in(place, "building") == set()
    assert not (place / f".tensorcache-{DEAD}").exists()
    same(hit(cache, 1), 1)


def test_events_are_bounded_whatever_their_times(cache, place):
    """The newest stay, by their order."""
    key = get(cache, 1).key.digest
    for turn in range(2):
        with open(place / "journal" / "uses", "w") as journal:
            for n in range(MOST_EVENTS // 2 + 1):
                at = time.time() + random.uniform(-1, 1) * 10 * 365 * 86_400
                journal.write(json.dumps((at, "hit", key, float(turn), n)) + "\n")
        cache.upgrade()

    assert rows(place, "SELECT count(*), min(kind), max(seconds) FROM event") == [
        (MOST_EVENTS, "hit", 1.0)
    ]
    assert evicted(cache, max_bytes=1, grace_seconds=0) == {key}
