"""Law 2 and 8: however a build ends, it leaves no half entry, no lock and no descriptor behind."""

from __future__ import annotations

import fcntl
import gc
import itertools
import logging
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

import pytest
import torch
from forks import Fork, locks_open, open_below
from processes import wait_for
from roots import named_by_manifests, names_in
from scale import HOURS, IS_SOAK, reached, some

import tensorcache
from tensorcache import disk
from tensorcache.index import Index

TIMES = round(2_500 * HOURS) if IS_SOAK else 100


def ask(cache, build=lambda: value(0), n=0, **options):
    return cache.get_or_build({"n": n}, build, version="1", namespace="t.interrupted", **options)


def value(n):
    return {"n": n, "rows": [{"n": n}] * 40, "x": torch.full((20,), n)}


class Broken(Exception):
    pass


# --- what a builder raises ---


@pytest.mark.parametrize(
    "error",
    [Broken("mine"), OSError(28, "mine"), KeyboardInterrupt(), SystemExit(3), GeneratorExit(),
     StopIteration(5), MemoryError(), tensorcache.LeaseTimeout("mine"),
     tensorcache.CacheTooNew("mine"), tensorcache.EntryMissing("mine")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
@pytest.mark.parametrize("options", [{}, {"refresh": True}, {"audit": tensorcache.audited({})}])
def test_what_a_builder_raises_arrives_as_it_was(error, options, cache):
    def build():
        raise error

    error.__traceback__ = None
    arguments = error.args
    with pytest.raises(type(error)) as caught:
        ask(cache, build, **options)

    assert caught.value is error
    assert error.args == arguments
    assert (error.__context__, error.__cause__, error.__suppress_context__) == (None, None, False)
    assert not hasattr(error, "__notes__")
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names[0] == "test_what_a_builder_raises_arrives_as_it_was"
    assert names[-1] == "build"
    assert os.listdir(Path(cache.root, "building")) == []
    assert locks_open(cache.root) == []
    assert not ask(cache).hit


# --- a builder that ends, in each way, in a process begun in each way ---


def broken():
    raise Broken


def interrupted():
    raise KeyboardInterrupt


def exits():
    raise SystemExit(3)


def recurses():
    recurses()


def leaves():
    os._exit(3)


def dies():
    os.kill(os.getpid(), signal.SIGKILL)


def forks():
    """Its child comes back as well, and both have a result."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return value(0)


def forks_and_breaks():
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    raise Broken


def sleeps():
    time.sleep(60)


def sleeps_till_told():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    sleeps()


# What the build does, which signal comes from outside, and how the process ends.
WAYS = {
    "raises": (broken, None, 10),
    "is interrupted": (interrupted, None, 11),
    "exits": (exits, None, 12),
    "recurses": (recurses, None, 10),
    "leaves at once": (leaves, None, 3),
    "dies": (dies, None, -signal.SIGKILL),
    "forks": (forks, None, 0),
    "forks and breaks": (forks_and_breaks, None, 10),
    "SIGINT": (sleeps, signal.SIGINT, 11),
    "SIGTERM": (sleeps, signal.SIGTERM, -signal.SIGTERM),
    "SIGTERM with a handler": (sleeps_till_told, signal.SIGTERM, 12),
    "SIGHUP": (sleeps, signal.SIGHUP, -signal.SIGHUP),
}
OF_THE_MAIN_THREAD = ("SIGINT", "SIGTERM with a handler")  # where Python's handlers run
CASES = [(way, start) for way in WAYS for start in ("fork", "spawn", "thread")]
CASES = [case for case in CASES if case[0] not in OF_THE_MAIN_THREAD or case[1] != "thread"]
FORKED = [case for case in CASES if case[1] != "spawn"]
SPAWNED = [case for case in CASES if case[1] == "spawn"]  # each imports everything anew


def end(way, root, mark):
    """Build in one way; the exit code says how that ended, and that nothing is held."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup has us ignore it

    def build():
        Path(mark).touch()
        return WAYS[way][0]()

    code = 0
    try:
        ask(tensorcache.open(root), build)
    except Exception:  # noqa: BLE001 - which one, others tell
        code = 10
    except KeyboardInterrupt:
        code = 11
    except SystemExit:
        code = 12
    os._exit(99 if locks_open(root) else code)


def end_in_a_thread(*args):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    thread = threading.Thread(target=end, args=args)
    thread.start()
    thread.join()


@pytest.mark.slow
@pytest.mark.parametrize(("way", "start"), [*FORKED, *some(SPAWNED, 1)])
def test_however_a_build_ends_nothing_is_held_and_nothing_is_half(way, start, cache, tmp_path):
    mark = tmp_path / "mark"
    context = multiprocessing.get_context("spawn" if start == "spawn" else "fork")
    do = end_in_a_thread if start == "thread" else end
    process = context.Process(target=do, args=(way, cache.root, mark))
    process.start()
    wait_for(mark.exists, 30)
    _, sent, code = WAYS[way]
    if sent is not None:
        time.sleep(0.1)  # in its sleep by now
        os.kill(process.pid, sent)
    process.join(30)
    assert process.exitcode == code

    entries = names_in(cache.root, "entries")
    assert len(entries) == (way == "forks")
    for lease in Path(cache.root, "building").glob("*.lock"):
        with lease.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert cache.verify(deep=True) == []
    cache.vacuum(grace_seconds=0)
    assert os.listdir(Path(cache.root, "building")) == []
    entry = ask(cache)
    assert entry.hit == (way == "forks")
    assert torch.equal(entry["x"], value(0)["x"])
    reached("interrupted", cases=1)


# --- Ctrl-C at any moment ---


def seconds_of_a_build(cache, n):
    """How long it takes to have what was interrupted."""
    began = time.monotonic()
    entry = ask(cache, lambda: value(n), n)
    assert entry.published, entry.why
    assert entry["n"] == n
    assert torch.equal(entry["x"], value(n)["x"])
    return time.monotonic() - began


def storm(root, times, seed, where):
    """Interrupt a call at random, again and again; what was left, and how often."""
    cache = tensorcache.open(root)
    rng = random.Random(seed)
    figures = dict.fromkeys(("fired", "caught", "unraisable", "slow"), 0)
    left = set()
    spans = {}

    def interrupt(*_):
        figures["fired"] += 1
        raise KeyboardInterrupt

    def unraisable(found):  # in a finalizer, which cannot tell
        figures["unraisable"] += isinstance(found.exc_value, KeyboardInterrupt)

    def deed(n):
        kind = where[n % len(where)]
        began = time.monotonic()
        if kind == "hit":
            ask(cache, n=-1)
        elif kind == "refresh":
            ask(cache, lambda: value(n), n=-2, refresh=True)
        else:
            ask(cache, lambda: value(n), n)
        spans[kind] = time.monotonic() - began

    for n in (-1, -2):
        ask(cache, lambda n=n: value(n), n)
    for n in range(-60, -50):
        deed(n)
    signal.signal(signal.SIGALRM, interrupt)
    sys.unraisablehook = unraisable
    logging.disable()  # what keeps records of errors keeps their frames, and what those had open
    gc.collect()
    gc.freeze()
    for n in range(times):
        span = spans[where[n % len(where)]]
        try:
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 1.1 * span))
            deed(n)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            figures["caught"] += 1
        left.update(locks_open(root))  # at once, and not when garbage is collected
        gc.collect()
        left.update(open_below(root))
        figures["slow"] += seconds_of_a_build(cache, n) > 2
    return {**figures, "left": sorted(left)}


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("where", [["miss"], ["miss", "hit", "refresh"]], ids=["misses", "all"])
def test_interrupted_at_any_moment_a_call_leaves_nothing_behind(where, shm):
    root = shm / f"storm-{len(where)}"
    with Fork(storm, root, TIMES, len(where), where) as process:
        figures = process.answer

    assert figures["caught"] > TIMES // 3
    assert figures["fired"] == figures["caught"] + figures["unraisable"]
    assert figures["left"] == []
    assert figures["slow"] == 0
    with tensorcache.open(root) as cache:
        assert cache.verify(deep=True) == []
        cache.vacuum(grace_seconds=0)
        assert cache.verify(deep=True) == []
    found = names_in(root, "entries", "shards", "documents", "building")
    assert found == named_by_manifests(root)
    reached("interrupted", cases=figures["caught"])


def transactions_interrupted(path):
    """Interrupt a transaction before each line of SQLAlchemy's engine: what came instead of it."""
    index = Index(str(path))
    index.prepare()
    fired, came = 0, set()
    while True:
        lines = itertools.count()

        def interrupt(frame, event, _, lines=lines, last=fired):
            if not frame.f_code.co_filename.endswith("sqlalchemy/engine/base.py"):
                return interrupt
            if event == "line" and next(lines) == last:
                sys.settrace(None)
                raise KeyboardInterrupt
            return interrupt

        try:
            sys.settrace(interrupt)
            with index.writing() as connection:
                connection.exec_driver_sql("DELETE FROM event")
            sys.settrace(None)
        except KeyboardInterrupt:
            fired += 1
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            sys.settrace(None)
            fired += 1
            came.add(repr(error))
        else:
            sys.settrace(None)
            return fired, sorted(came)


@pytest.mark.slow
def test_a_transaction_that_is_interrupted_says_so_and_nothing_else(shm):
    with Fork(transactions_interrupted, shm / "index.sqlite") as process:
        fired, came = process.answer

    assert fired > 100
    assert came == []


def remove_interrupted(root, outside):
    """Remove a leftover, interrupted before each line that runs: how often, and what stayed."""
    place = disk.Root(str(root))
    disk.prepare(place, write=True)
    fired, left = 0, set()
    while True:
        (root / "quarantine/1-old/within").mkdir(parents=True, exist_ok=True)
        (root / "quarantine/1-old/within/file").touch()
        (root / "quarantine/1-old/file").touch()
        if not (root / "quarantine/1-old/link").is_symlink():
            (root / "quarantine/1-old/link").symlink_to(outside)
        (leftover,) = disk.listing(place).quarantine
        lines = itertools.count()

        def interrupt(_frame, event, _, lines=lines, last=fired):
            if event == "line" and next(lines) == last:
                raise KeyboardInterrupt
            return interrupt

        try:
            sys.settrace(interrupt)
            disk.remove_leftover(place, leftover)
            sys.settrace(None)
        except KeyboardInterrupt:
            fired += 1
        else:
            return fired, sorted(left), os.listdir(root / "quarantine")
        left.update(open_below(root))


def test_a_removal_that_is_interrupted_leaves_nothing_open(shm):
    (shm / "outside").mkdir()
    (shm / "outside" / "mine").touch()
    with Fork(remove_interrupted, shm / "removal", shm / "outside") as process:
        fired, left, there = process.answer

    assert fired > 10
    assert (left, there) == ([], [])
    assert os.listdir(shm / "outside") == ["mine"]
