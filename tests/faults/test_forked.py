"""Law 2 under forks: a lock is of the process that took it, and of none of its children."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from forks import Fork, locks_open
from processes import wait_for
from scale import IS_SOAK, reached

import tensorcache

FORKS = 1_000 if IS_SOAK else 60


def ask(cache, build=lambda: {"x": [1, 2, 3]}, n=0, **options):
    return cache.get_or_build({"n": n}, build, version="1", namespace="t.forked", **options)


def fork_of(root):
    """A child that has looked at what it holds and ended, its exit code being the count."""
    child = os.fork()
    if child == 0:
        os._exit(len(locks_open(root)))
    return child


def held_by(children):
    return sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


def fork_in_handlers(root):
    """Forks of a signal's handler, so between any two steps; and how many locks they had."""
    cache = tensorcache.open(root)
    ask(cache)
    rng = random.Random(5)
    children = []
    signal.signal(signal.SIGALRM, lambda *_: children.append(fork_of(root)))
    n = took = 0
    while len(children) < FORKS:
        n += 1
        began = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-4, max(took, 2e-4)))
        assert ask(cache, n=n).published
        took = min(0.1, time.monotonic() - began)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return len(children), held_by(children)


def fork_in_a_thread(root):
    """Forks of a thread while another builds; and how many locks they had."""
    cache = tensorcache.open(root)
    ask(cache)
    children = []
    done = threading.Event()

    def build():
        n = 0
        while not done.is_set():
            n += 1
            assert ask(cache, n=n).published

    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(build)
        while len(children) < FORKS:
            children.append(fork_of(root))
            time.sleep(0.001)
        done.set()
        building.result()
    return len(children), held_by(children)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("forking", [fork_in_handlers, fork_in_a_thread])
def test_a_fork_at_any_moment_of_a_build_takes_no_lock_along(forking, shm):
    root = shm / forking.__name__
    with Fork(forking, root) as process:
        forks, held = process.answer

    assert forks >= FORKS
    assert held == 0
    with tensorcache.open(root) as cache:
        cache.vacuum(grace_seconds=0)
        assert cache.verify(deep=True) == []
    assert os.listdir(root / "building") == []
    reached("forked at any moment", cases=forks, locks_taken_along=held)


@pytest.mark.parametrize("ends", ["returns", "raises", "exits"])
def test_a_child_forked_in_a_build_unwinds_and_leaves_the_lease_alone(ends, cache, root, tmp_path):
    with Fork(build_with_a_child, root, ends, tmp_path / "child") as process:
        codes = process.answer

    assert codes == {"returns": [0, True], "raises": [7, True], "exits": [8, True]}[ends]
    assert os.listdir(os.path.join(root, "building")) == []
    assert ask(cache).hit


def build_with_a_child(root, ends, said):
    """Build, and fork a child in it that comes back by itself; its exit code, and our result."""
    first, codes = os.getpid(), []

    def build():
        child = os.fork()
        if child == 0:
            if ends == "raises":
                raise LookupError
            if ends == "exits":
                raise SystemExit(8)
            return {"x": [1, 2, 3]}
        codes.append(held_by([child]))
        # Another thread, for this one would be told that it asks for itself.
        with ThreadPoolExecutor(1) as pool:
            if ends == "returns":  # the child has published, and we shall do so again
                assert pool.submit(ask, cache).result().hit
            else:
                with pytest.raises(tensorcache.LeaseTimeout, match=f"process {first} on"):
                    pool.submit(ask, cache, wait=0.1).result()
        assert len([name for name in os.listdir(f"{root}/building") if ".lock" in name]) == 1
        return {"x": [1, 2, 3]}

    cache = tensorcache.open(root)
    try:
        entry = ask(cache, build)
    except LookupError:
        os._exit(7)
    except SystemExit as error:
        os._exit(error.code)
    if os.getpid() != first:
        os._exit(len(locks_open(root)) or not entry.published)
    assert locks_open(root) == []
    return [*codes, entry.published]


def test_a_forked_child_builds_nothing_of_what_other_threads_do(cache, root):
    """New threads get the numbers of those that the fork left behind."""
    begun = threading.Event()
    done = threading.Event()

    def build():
        begun.set()
        done.wait(20)
        return {"x": 1}

    def ask_in_threads():
        child = tensorcache.open(root)
        for _ in range(20):
            with ThreadPoolExecutor(1) as pool, pytest.raises(tensorcache.LeaseTimeout):
                pool.submit(ask, child, wait=0).result()
        return threading.active_count()

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, cache, build) for _ in range(4)]
        wait_for(begun.is_set)
        with Fork(ask_in_threads) as process:
            assert process.answer == 1
        done.set()
        assert sorted(one.result().hit for one in asked) == [False, True, True, True]
