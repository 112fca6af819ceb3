"""Many processes at once, forked from one that has imported everything.

`together` runs a deed of this module, or of `storm`, in each of them; they begin at one gate.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import functools
import importlib
import json
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import torch
from processes import ENVIRONMENT

import tensorcache

NAMESPACE = "t.crowd"
SHARED = 3  # keys that readers and writers fight over
_gate: Any = None


def together(deed: Callable[..., Any], count: int, *arguments: Any) -> list[Any]:
    """What `deed(n, *arguments)` gave in each of `count` processes; none of them may fail."""
    named = f"{deed.__module__}:{deed.__name__}"
    process = _forker()
    try:
        print(json.dumps([named, count, arguments], default=str), file=process.stdin, flush=True)
        told = json.loads(process.stdout.readline())
    except BaseException:
        _end(process)
        raise
    return values(told)


def values(told: list[dict[str, Any]]) -> list[Any]:
    """What each gave, as none of them failed."""
    failed = [one["error"] for one in told if "error" in one]
    assert not failed, "\n".join([f"{len(failed)} of {len(told)} failed", *failed[:3]])
    return [one["value"] for one in told]


@functools.cache
def _forker() -> subprocess.Popen[str]:
    """The process that forks; it and all that it forked end with ours at the latest."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import crowd; crowd.main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    _forker.cache_clear()


def main() -> None:
    """For each line that asks: fork, let all go at once, and print what each gave."""
    for name in ("alembic.command", "alembic.config", "alembic.runtime.migration"):
        importlib.import_module(name)
    for name in ("column", "explain", "index", "rows", "vacuum", "cache.verify"):
        importlib.import_module(f"tensorcache.{name}")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: torch has some
    for line in sys.stdin:
        named, count, arguments = json.loads(line)
        module, name = named.split(":")
        deed = getattr(importlib.import_module(module), name)
        print(json.dumps(forked(deed, count, arguments)), flush=True)


def forked(deed: Callable[..., Any], count: int, arguments: list[Any]) -> list[dict[str, Any]]:
    """What each of `count` children of this very process gave, or how it failed."""
    global _gate  # noqa: PLW0603 - made before the forks, for all of them
    if deed is commit:  # statements are compiled once, as in a process that has lived for a while
        cache = tensorcache.open(arguments[0])
        cache.put(key_of(cache, n=-1), {"x": torch.arange(8)})
    _gate = multiprocessing.get_context("fork").Barrier(count)
    answers, children = [], []
    for n in range(count):
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ours)
            with open(theirs, "w") as answer:
                json.dump(_answer(deed, n, arguments), answer)
            os._exit(0)
        os.close(theirs)
        answers.append(ours)
        children.append(child)
    told = []
    for answer in answers:
        with open(answer) as file:
            told.append(json.loads(file.read() or '{"error": "it died"}'))
    for child in children:
        os.waitpid(child, 0)
    return told


def _answer(deed: Callable[..., Any], n: int, arguments: list[Any]) -> dict[str, Any]:
    try:
        return {"value": deed(n, *arguments)}
    except BaseException:  # noqa: BLE001 - it is told to who forked us
        return {"error": traceback.format_exc()}


def gate() -> None:
    """Wait for all the others."""
    _gate.wait(60)


def key_of(cache: tensorcache.Cache, **inputs: Any) -> tensorcache.Key:
    """The key of what the crowd puts."""
    return cache.key(inputs, version="1", namespace=NAMESPACE)


def payload(n: int, generation: int) -> dict[str, Any]:
    """It has its generation in every section and in every tensor, but for one that all share."""
    return {
        "n": n,
        "generation": generation,
        "batches": [{"x": torch.full((1, 3), generation), "y": generation} for _ in range(3)],
        "rows": [{"generation": generation, "text": "a" * (generation % 50)} for _ in range(3)],
        "tensor": torch.full((50,), generation),
        "all": torch.arange(64),
    }


def is_whole(entry: tensorcache.Entry, n: int) -> int:
    """All of it is of one generation, and this is returned."""
    generation = int(entry["tensor"][0])
    expected, loaded = payload(n, generation), entry.load()
    assert list(loaded) == list(expected)
    for name in ("n", "generation", "rows"):
        assert loaded[name] == expected[name], (name, loaded[name], expected[name])
    for name in ("tensor", "all"):
        assert torch.equal(loaded[name], expected[name]), name
    for got, wanted in zip(loaded["batches"], expected["batches"], strict=True):
        assert got["y"] == wanted["y"]
        assert torch.equal(got["x"], wanted["x"])
    return generation


# --- deeds ---


def commit(n: int, root: str, puts: int) -> list[float]:
    """How many seconds each of some small puts took."""
    cache = tensorcache.open(root)
    keys = [key_of(cache, n=n, i=i) for i in range(puts)]
    gate()
    took = []
    for i, key in enumerate(keys):
        began = time.monotonic()
        cache.put(key, {"n": n, "i": i, "x": torch.full((8,), 1000 * n + i)})
        took.append(time.monotonic() - began)
    return took


def open_new(n: int, base: str, rounds: int) -> None:
    """Open one new root after the other with all the others, and use it."""
    for turn in range(rounds):
        gate()
        cache = tensorcache.open(f"{base}/{turn}")
        entry = cache.get_or_build(
            {"n": n % 4}, lambda: payload(n % 4, 7), version="1", namespace=NAMESPACE
        )
        assert entry.published, entry.why
        assert is_whole(entry, n % 4) == 7


def upgrade(n: int, root: str) -> list[str]:
    """Bring up one index with all the others; what was warned of."""
    said = _said()
    cache = tensorcache.open(root)
    gate()
    cache.upgrade()
    return said


def reading(n: int, root: str, seconds: float) -> dict[str, Any]:
    """Four read, two write, one vacuums; how often, and what was warned of."""
    said = _said()
    role = [_read, _read, _read, _read, _refresh, _replace, _vacuum][n]
    cache = tensorcache.open(root)
    done: collections.Counter[str] = collections.Counter()
    gate()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done[role(cache, random.randrange(SHARED))] += 1
    return {"done": done, "said": said}


def _said() -> list[str]:
    """What the library warns of from here on."""
    said: list[str] = []
    heard = logging.Handler(logging.WARNING)
    heard.emit = lambda line: said.append(line.getMessage())
    logging.getLogger("tensorcache").addHandler(heard)
    return said


def _read(cache: tensorcache.Cache, n: int) -> str:
    entry = cache.get(key_of(cache, n=n))
    if entry is None:
        time.sleep(0.002)
        return "missed"
    is_whole(entry, n)
    return "read"


def _refresh(cache: tensorcache.Cache, n: int) -> str:
    made = random.randrange(1 << 40)
    entry = cache.get_or_build(
        {"n": n}, lambda: payload(n, made), version="1", namespace=NAMESPACE, refresh=True
    )
    assert entry.published, entry.why
    assert is_whole(entry, n) == made
    return "refreshed"


def _replace(cache: tensorcache.Cache, n: int) -> str:
    key = key_of(cache, n=n)
    with contextlib.suppress(tensorcache.EntryMissing):
        cache.remove(key)
    made = random.randrange(1 << 40)
    assert is_whole(cache.put(key, payload(n, made)), n) == made
    return "replaced"


def _vacuum(cache: tensorcache.Cache, n: int) -> str:
    cache.vacuum(max_bytes=1, grace_seconds=0)
    if n == 0:
        faults = cache.verify(deep=True)
        assert faults == [], faults
    time.sleep(0.05)
    return "vacuumed"


def with_umask(n: int, base: str, masks: list[int]) -> dict[str, dict[str, int]]:
    """The modes of all that lies in roots of one's own and of a group, while building and after."""
    os.umask(masks[n])
    found = {}
    for trust in (None, "group"):
        root = f"{base}/{n}-{trust}"
        cache = tensorcache.open(root, trust=trust)

        def build(root: str = root, trust: str | None = trust) -> dict[str, Any]:
            found[f"{trust} while it builds"] = _modes(root)
            return payload(1, 1)

        for inputs in ({"n": 1}, {"n": 2}, {"n": 1}):
            cache.get_or_build(inputs, build, version="1", namespace=NAMESPACE)
        cache.pin(key_of(cache, n=1), "keep")
        cache.entries()
        cache.remove(key_of(cache, n=2))
        cache.vacuum(grace_seconds=0)
        found[str(trust)] = _modes(root)
        assert cache.verify(deep=True) == []
    return found


def _modes(root: str) -> dict[str, int]:
    found = {".": os.stat(root).st_mode}
    for place, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = os.path.join(place, name)
            found[os.path.relpath(path, root)] = os.stat(path).st_mode
    return found
