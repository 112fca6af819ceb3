"""A storm: writers, readers and a vacuum, killed at random and begun anew by one process.

What was acknowledged stands in a file outside the root, a line each, written when the call that
did it had returned: `put NAME`; `removing NAME` before a removal; `read COUNT`; `wrong TEXT`.
"""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
from collections.abc import Callable

import torch
from crowd import NAMESPACE, SHARED, is_whole, key_of, payload

import tensorcache

PAUSE_SECONDS = 0.04  # between two kills, at most twice as long
WRITERS, READERS, VACUUMS = 8, 2, 1
_READ = 20


def strike(_n: int, root: str, acknowledged: str, seconds: float) -> int:
    """Let it storm; how often it struck."""
    cache = tensorcache.open(root)  # what it compiles, those that are begun anew need not
    is_named(cache.put(key_of(cache, name="first"), named("first")), "first")
    cache.remove(key_of(cache, name="first"))
    cache.vacuum()
    roles = [_write] * WRITERS + [_read] * READERS + [_vacuum] * VACUUMS
    living = {_begin(role, root, acknowledged): role for role in roles}
    end = time.monotonic() + seconds
    kills = 0
    while time.monotonic() < end:
        time.sleep(random.uniform(0, 2 * PAUSE_SECONDS))
        victim = random.choice(list(living))
        if _kill(victim) != -signal.SIGKILL:
            break  # it had failed, and told why
        kills += 1
        role = living.pop(victim)
        living[_begin(role, root, acknowledged)] = role
    kills += sum(_kill(pid) == -signal.SIGKILL for pid in living)
    return kills


def _begin(role: Callable[..., None], root: str, acknowledged: str) -> int:
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        random.seed(os.urandom(8))
        tell = _Tell(acknowledged)
        try:
            cache = tensorcache.open(root)
            while os.getppid() == parent:
                role(cache, tell)
        except BaseException:  # noqa: BLE001 - whatever it was, it is told
            tell("wrong", traceback.format_exc().replace("\n", " | "))
        os._exit(1)
    return pid


def _kill(pid: int) -> int:
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class _Tell:
    """Appends lines, each by one write."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.mine: list[str] = []
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

    def __call__(self, what: str, name: object) -> None:
        os.write(self._descriptor, f"{what} {name}\n".encode())


def named(name: str) -> dict[str, object]:
    """What is put under a name."""
    return {"name": name, "x": torch.tensor(list(name.encode())), "all": torch.arange(64)}


def is_named(entry: tensorcache.Entry, name: str) -> None:
    """It is what was put under that name."""
    assert entry["name"] == name
    assert bytes(entry["x"].tolist()).decode() == name
    assert torch.equal(entry["all"], torch.arange(64))


def _write(cache: tensorcache.Cache, tell: _Tell) -> None:
    deed = random.random()
    if deed < 0.2:
        n, made = random.randrange(SHARED), random.randrange(1 << 40)
        entry = cache.get_or_build(
            {"n": n},
            lambda: payload(n, made),
            version="1",
            namespace=NAMESPACE,
            refresh=deed < 0.1,
        )
        assert entry.published, entry.why
        is_whole(entry, n)
    elif deed < 0.4 and tell.mine:
        name = tell.mine.pop()
        tell("removing", name)
        cache.remove(key_of(cache, name=name))
    else:
        name = os.urandom(8).hex()
        is_named(cache.put(key_of(cache, name=name), named(name)), name)
        tell("put", name)
        tell.mine.append(name)


def _read(cache: tensorcache.Cache, tell: _Tell) -> None:
    with open(tell.path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 2000))
        names = [line.split()[1] for line in file.read().splitlines()[1:-1] if line[:4] == "put "]
    for _ in range(_READ):
        if names and random.random() < 0.5:
            name = random.choice(names)
            entry = cache.get(key_of(cache, name=name))  # or removed by now
            if entry is not None:
                is_named(entry, name)
        else:
            n = random.randrange(SHARED)
            entry = cache.get(key_of(cache, n=n))
            if entry is not None:
                is_whole(entry, n)
    tell("read", _READ)
    time.sleep(0.02)


def _vacuum(cache: tensorcache.Cache, _tell: _Tell) -> None:
    plan = cache.vacuum(grace_seconds=0)
    assert plan.entries == (), plan
    time.sleep(random.uniform(0, 0.1))
