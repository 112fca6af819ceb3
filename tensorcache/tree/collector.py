"""Python's collector, kept away from thousands of small objects that all survive.

Rules of this room: it changes when the collector looks, never what it may collect in the end. It
belongs to the whole process, so the last thread that paused it lets it go on, and a child that was
forked meanwhile goes on at once.
"""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Iterator


class _Pauses:
    """How many have paused it, where it was on; and whether the program has frozen anything."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._has_frozen = False

    def may_freeze(self) -> bool:
        """Whether nothing is frozen that an `unfreeze` of ours would set free.

        Asked until something is, and no more: CPython counts them one by one.
        """
        self._has_frozen = self._has_frozen or gc.get_freeze_count() > 0
        return not self._has_frozen

    def begin(self) -> bool:
        with self._lock:
            counts = self._count > 0 or gc.isenabled()
            self._count += counts
            gc.disable()
            return counts

    def end(self) -> None:
        with self._lock:
            self._count -= 1
            if not self._count:
                gc.enable()

    def in_child(self) -> None:
        if self._count:
            gc.enable()
        self._lock, self._count = threading.Lock(), 0  # who had them is no more


_pauses = _Pauses()
os.register_at_fork(after_in_child=_pauses.in_child)


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """For objects that are many and short of life, or few: collecting costs more than the work."""
    counts = _pauses.begin()
    try:
        yield
    finally:
        if counts:
            _pauses.end()


@contextlib.contextmanager
def collector_spared() -> Iterator[None]:
    """For objects that are many and stay: they go to the oldest generation at once.

    Left young, each would be looked at twice on its way there, which costs as much as it took to
    make. `freeze` and `unfreeze` move all that is young, without a look at any. What is garbage by
    now is collected first, so that it is not moved along. What a program has frozen stays so:
    nothing is moved from then on.
    """
    moves = gc.isenabled() and _pauses.may_freeze()
    if moves:
        gc.collect(1)
    counts = _pauses.begin()
    try:
        yield
        if moves and _pauses.may_freeze():
            gc.freeze()
            gc.unfreeze()
    finally:
        if counts:
            _pauses.end()
