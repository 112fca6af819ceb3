"""Several processes that begin one root, a builder that stands still, builds that ask for keys.

Who builds, who waits and who takes over: `faults/test_leases.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import textwrap
import time
from pathlib import Path

import pytest
import torch
from processes import start, wait_for

import tensorcache

# A process that asks for one key. It prints "ready", waits for a line, asks, prints what it got;
# each build appends a line to a file of the test's own.
ASK = textwrap.dedent(
    """
    import os, sys, time, tensorcache
    root, builds, seconds, options = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
    def build():
        with open(builds, "a") as file:
            file.write(f"{os.getpid()}\\n")
        if len(sys.argv) > 5:
            exec(sys.argv[5])
        time.sleep(seconds)
        return {"x": list(range(1000))}
    cache = tensorcache.open(root)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        entry = cache.get_or_build({}, build, version="1", namespace="t.races", **eval(options))
        print(entry.hit, entry.published, entry.why, sep="|", flush=True)
    except BaseException as error:
        print(type(error).__name__, error, sep="|", flush=True)
    """
)


class Askers:
    """Processes that run `ASK` on one root."""

    def __init__(self, tmp_path, root):
        self.root = root
        self.file = tmp_path / "builds"
        self._stack = contextlib.ExitStack()

    def add(self, seconds=0.5, meanwhile="", **options):
        code = [meanwhile] if meanwhile else []
        arguments = (self.root, self.file, seconds, repr(options), *code)
        process = self._stack.enter_context(start(ASK, *arguments, stdin=-1))
        self._stack.callback(process.kill)
        return process

    def go(self, *processes):
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            print(file=process.stdin, flush=True)

    def builders(self):
        return [int(line) for line in self.file.read_text().split()] if self.file.exists() else []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()


@pytest.fixture
def askers(tmp_path, root):
    with Askers(tmp_path, root) as askers:
        yield askers


def said(process):
    return process.stdout.readline().rstrip("\n").split("|")


def leases(root):
    return [name for name in os.listdir(Path(root, "building")) if name.endswith(".lock")]


def events(cache):
    cache.entries()  # takes the journal in
    with contextlib.closing(sqlite3.connect(Path(cache.root, "index.sqlite"))) as index:
        return dict(index.execute("SELECT kind, count(*) FROM event GROUP BY kind").fetchall())


def ask(cache, build=lambda: {"x": torch.arange(1000)}, **options):
    return cache.get_or_build({}, build, version="1", namespace="t.races", **options)


# --- one builds, the others wait ---


def test_several_processes_begin_one_root(tmp_path):
    root = tmp_path / "new"
    with Askers(tmp_path, root) as askers:
        processes = [askers.add(0) for _ in range(4)]
        askers.go(*processes)
        answers = [said(process) for process in processes]

    assert [published for _, published, _ in answers] == ["True"] * 4
    assert len(askers.builders()) == 1
    assert json.loads((root / "tensorcache.json").read_text()) == {"format": 1}
    assert tensorcache.open(root).verify(deep=True) == []


def test_a_stopped_builder_is_waited_for_and_not_robbed(askers, cache):
    builder = askers.add(0.2)
    askers.go(builder)
    wait_for(askers.builders)
    os.kill(builder.pid, signal.SIGSTOP)
    with pytest.raises(tensorcache.LeaseTimeout):
        ask(cache, wait=0.5)
    plan = cache.vacuum(grace_seconds=0)
    os.kill(builder.pid, signal.SIGCONT)

    assert plan.leftovers == ()
    assert said(builder)[:2] == ["False", "True"]
    assert ask(cache).hit


def test_a_build_that_asks_for_itself_is_told_so(cache):
    began = time.monotonic()
    with pytest.raises(tensorcache.LeaseRecursion, match="asks for itself"):
        ask(cache, lambda: ask(cache).load())

    assert time.monotonic() - began < 2
    assert isinstance(tensorcache.LeaseRecursion(), RuntimeError)
    assert not ask(cache).hit


def test_a_build_may_ask_for_another_key(cache):
    def inner():
        return cache.get_or_build({}, lambda: {"x": 7}, version="1", namespace="t.inner")["x"]

    assert ask(cache, lambda: {"y": inner() + 1})["y"] == 8
