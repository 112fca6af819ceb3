"""How much of a fault test runs: a sample within `make test`, all of it in `make soak`.

`SOAK_HOURS` is set by `make soak` (1 by default) and stretches what lasts as long as it is told.
What was reached goes into the file that `FAULTS_FIGURES` names, a JSON line for each call of
`reached`: `docs/durability.md` is made of them.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

HOURS = float(os.environ.get("SOAK_HOURS") or 0)
IS_SOAK = HOURS > 0
# Calls that leave what is on disk as it is, and locks die with their process: a death at one looks
# like one at the next call that changes something. A tenth of them; in a soak of two hours all.
IDLE = {"newfstatat", "fcntl", "pread64", "close", "read", "lseek", "getdents64", "flock", "mmap"}
T = TypeVar("T")


def some(cases: Sequence[T], most: int) -> Sequence[T]:
    """All cases in the soak; else `most` of them, evenly spread, and others at each commit."""
    if IS_SOAK or len(cases) <= most:
        return cases
    first = _turn() % len(cases)
    turned = [*cases[first:], *cases[:first]]
    return [turned[len(cases) * place // most] for place in range(most)]


def seconds(sample: float, soak: float) -> float:
    """How long to go on: `sample`, or in a soak of one hour `soak`."""
    return soak * HOURS if IS_SOAK else sample


def deaths_at(calls: Sequence[Any]) -> list[Any]:
    """Each call that changes something, and a tenth of the others, in their order."""
    idle = [place for place, call in enumerate(calls) if call.name in IDLE]
    passed_over = set(idle) - set(idle[::10]) if HOURS < 2 else ()
    return [call for place, call in enumerate(calls) if place not in passed_over]


def _turn() -> int:
    """A number of the commit, the same for all who test it; 0 where there is no git."""
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return int(head.stdout.strip()[:8] or "0", 16)


def reached(promise: str, **figures: float) -> None:
    """Note what a test of a promise counted or measured, once it has held.

    Figures of one name are added up, those that end in `_seconds` are worsts: the largest stays.
    """
    path = os.environ.get("FAULTS_FIGURES")
    if path:
        line = json.dumps({"promise": promise, **figures}).encode() + b"\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(descriptor, line)  # one write: the tests run in two processes
        finally:
            os.close(descriptor)
