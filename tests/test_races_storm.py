"""Threads and forks of one process; what whole crowds do is in `faults/test_crowds.py`."""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import os
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from processes import python, wait_for


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


def test_a_key_asked_in_another_process_is_a_hit(cache, root):
    ask(cache)
    out = python(
        "import sys, tensorcache\n"
        "cache = tensorcache.open(sys.argv[1])\n"
        "print(cache.get_or_build({}, lambda: 1 / 0, version='1', namespace='t.races').hit)\n",
        root,
    )

    assert out == "True\n"
