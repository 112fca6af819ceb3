"""Threads, forks, and many processes that read, write, remove and die at once."""

from __future__ import annotations

import collections
import contextlib
import gc
import multiprocessing
import os
import sqlite3
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from processes import python, start, wait_for

import tensorcache


def events(cache):
    cache.entries()  # takes the journal in
    with contextlib.closing(sqlite3.connect(Path(cache.root, "index.sqlite"))) as index:
        return dict(index.execute("SELECT kind, count(*) FROM event GROUP BY kind").fetchall())


def ask(cache, build=lambda: {"x": torch.arange(1000)}, **options):
    return cache.get_or_build({}, build, version="1", namespace="t.races", **options)


def leases(root):
    return [name for name in os.listdir(Path(root, "building")) if name.endswith(".lock")]


# --- forks ---


def test_a_forked_child_reads_and_builds_and_leaves_the_parents_locks_alone(cache, root):
    entry = ask(cache)

    def child(answers):
        answers.put(int(entry["x"].sum()))  # opened here for the first time
        answers.put(ask(cache).hit)
        answers.put(cache.get_or_build({}, lambda: [1], version="2", namespace="t.races").hit)

    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(target=child, args=(answers,))
    process.start()
    got = [answers.get() for _ in range(3)]
    process.join()

    assert got == [499500, True, False]
    assert process.exitcode == 0
    passed = cache.vacuum(max_bytes=1, grace_seconds=0)
    assert [victim.key for victim in passed.entries] != []
    assert entry.key.digest not in {victim.key for victim in passed.entries}
    assert int(entry["x"].sum()) == 499500


def test_threads_that_fork_and_read_at_once_never_stand_still(cache):
    entries = [ask(cache)]
    stop = threading.Event()

    def read():
        while not stop.is_set():
            entries[0] = ask(cache)

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for _ in range(20):
                child = os.fork()
                if child == 0:
                    os._exit(0 if ask(cache).hit else 1)
                wait_for(lambda child=child: reaped(child))
        finally:
            stop.set()
        for one in readers:
            one.result()


def reaped(child):
    pid, status = os.waitpid(child, os.WNOHANG)
    assert status == 0
    return pid == child


# --- threads ---


def test_of_two_threads_one_builds(cache):
    built = []
    barrier = threading.Barrier(2)

    def build():
        built.append(threading.get_ident())
        time.sleep(0.2)
        return {"x": torch.arange(1000)}

    def asked():
        barrier.wait()
        return ask(cache, build)

    with ThreadPoolExecutor(2) as pool:
        entries = [future.result() for future in [pool.submit(asked) for _ in range(2)]]

    assert len(built) == 1
    assert sorted(entry.hit for entry in entries) == [False, True]
    assert all(torch.equal(entry["x"], torch.arange(1000)) for entry in entries)


@pytest.mark.slow
def test_eight_threads_build_twenty_keys_once_each(cache):
    built = collections.Counter()

    def asked(thread):
        for n in range(20):
            n = (n + 3 * thread) % 20  # noqa: PLW2901 - each begins elsewhere

            def build(n=n):
                built[n] += 1
                return {"x": torch.full((100,), n)}

            entry = cache.get_or_build({"n": n}, build, version="1", namespace="t.races")
            assert torch.equal(entry["x"], torch.full((100,), n))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(asked, range(8)))

    assert built == dict.fromkeys(range(20), 1)
    assert events(cache)["build"] == 20
    assert leases(cache.root) == []


# --- readers, writers and vacuum at once ---

STORM = textwrap.dedent(
    """
    import random, sys, time, tensorcache, torch
    root, seed, end = sys.argv[1], int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
    torch.set_num_threads(1)
    cache, rng, done = tensorcache.open(root), random.Random(seed), 0
    def ask(n, **options):
        return cache.get_or_build(
            {"n": n}, lambda: {"n": n, "all": torch.arange(64), "own": torch.full((50,), n)},
            version="1", namespace="t.storm", **options)
    print("ready", flush=True)
    sys.stdin.readline()
    while time.monotonic() < end:
        n = rng.randrange(6)
        deed = rng.random()
        entry = ask(n, refresh=deed < 0.1)
        assert entry.published, entry.why
        assert entry["n"] == n and int(entry["own"].sum()) == 50 * n
        assert int(entry["all"].sum()) == 2016
        if deed > 0.9:
            try:
                cache.remove(entry.key)
            except tensorcache.EntryMissing:
                pass
        elif deed > 0.8:
            del entry
            cache.vacuum(max_bytes=1, grace_seconds=0)
        elif deed > 0.7:
            faults = cache.verify(deep=True)
            assert faults == [], faults
        done += 1
    print(done, flush=True)
    """
)


@pytest.mark.slow
def test_readers_writers_removers_and_vacuum_at_once_see_whole_entries_only(shm):
    root = shm / "storm"
    cache = tensorcache.open(root)
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(start(STORM, root, seed, 4.0, stdin=-1)) for seed in range(4)
        ]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            print(file=process.stdin, flush=True)
        ended = [process.communicate(timeout=60) for process in processes]

    for out, err in ended:
        assert err == ""
        assert int(out) > 0
    assert cache.verify(deep=True) == []
    gc.collect()
    cache.vacuum(max_bytes=1, grace_seconds=0)
    for folder in ("entries", "shards", "documents", "building"):
        assert not any(names for _, _, names in os.walk(Path(root, folder)))


@pytest.mark.slow
def test_killed_again_and_again_writers_leave_a_whole_cache(shm):
    root = shm / "killed"
    cache = tensorcache.open(root)
    deadline = time.monotonic() + 4
    kills = 0
    while time.monotonic() < deadline:
        with contextlib.ExitStack() as stack:
            processes = [
                stack.enter_context(start(STORM, root, seed, 60, stdin=-1)) for seed in range(2)
            ]
            for process in processes:
                assert process.stdout.readline() == "ready\n"
                print(file=process.stdin, flush=True)
            time.sleep(0.2 + 0.05 * kills)
            for process in processes:
                process.kill()
                kills += 1
                assert "Error" not in process.stderr.read()
        assert cache.verify(deep=True) == []

    assert kills > 0
    assert ask(cache).published
    cache.vacuum(grace_seconds=0)
    assert os.listdir(Path(root, "building")) == []


def test_a_key_asked_in_another_process_is_a_hit(cache, root):
    ask(cache)
    out = python(
        "import sys, tensorcache\n"
        "cache = tensorcache.open(sys.argv[1])\n"
        "print(cache.get_or_build({}, lambda: 1 / 0, version='1', namespace='t.races').hit)\n",
        root,
    )

    assert out == "True\n"
