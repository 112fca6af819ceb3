"""Who looks whether something is locked is in nobody's way, at whatever moment that is."""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time

import pytest
from forks import Fork
from roots import place

from tensorcache import disk
from tensorcache.disk import health, lock

__all__ = ["place"]
KEY = "ab" * 32


def look_at_what_is_opened(times, flags):
    """From now on, have a lock on each file below `building` before it is opened, so many times."""
    looks = []

    def look(event, arguments):
        is_ours = event == "open" and "/building/" in str(arguments[0])
        if is_ours and len(looks) < times and -1 not in looks:  # else it is our own
            looks.append(-1)
            looks[-1] = os.open(arguments[0], os.O_RDONLY)
            fcntl.flock(looks[-1], flags)

    sys.addaudithook(look)  # for ever, so in a process of its own
    return looks


def stage_beside(times, path):
    looks = look_at_what_is_opened(times, fcntl.LOCK_SH)
    try:
        staging = disk.stage(disk.Root(path))
    except BlockingIOError:
        return len(looks), None, os.listdir(f"{path}/building")
    left = os.listdir(f"{path}/building")
    staging.discard()
    return len(looks), len(left), os.listdir(f"{path}/building")


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_build_begins_also_where_its_directory_is_looked_at(times, place):
    with Fork(stage_beside, times, place.path) as process:
        assert process.answer == [times, 1, []]


def test_what_is_locked_by_others_each_time_is_given_up(place):
    with Fork(stage_beside, 99, place.path) as process:
        looks, staged, left = process.answer

    assert (staged, left) == (None, [])
    assert looks < 10


def test_a_lease_that_is_only_looked_at_is_free(place):
    os.makedirs(place.join("building"))
    with open(place.join("building", f"{KEY}.lock"), "w") as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        threading.Timer(0.1, lambda: fcntl.flock(look, fcntl.LOCK_UN)).start()
        lease = disk.claim(place, KEY)
        assert lease is not None
        began = time.monotonic()
        assert disk.claim(place, KEY) is None  # somebody has it, and so nobody waits
        assert time.monotonic() - began < lock.LOOK_SECONDS / 2
        assert [held.key for held in health.leases(place)] == [KEY]
        lease.release()


def test_a_look_that_stands_still_ends_a_claim_in_time(place):
    os.makedirs(place.join("building"))
    with open(place.join("building", f"{KEY}.lock"), "w") as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        began = time.monotonic()
        assert disk.claim(place, KEY) is None
        assert time.monotonic() - began < 3 * lock.LOOK_SECONDS


def test_looks_are_in_no_others_way(place):
    """A listing, which doctor does without the root lock, and all who build and claim meanwhile."""
    done = threading.Event()

    def look():
        while not done.is_set():
            disk.listing(place)
            health.leases(place)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(100):
            lease = disk.claim(place, KEY)
            staging = disk.stage(place)
            assert lease is not None
            staging.discard()
            lease.release()
    finally:
        done.set()
        looking.join()
    assert disk.listing(place).building == ()
