"""Python's collector, kept away from thousands of small objects that all survive.

Rules of this room: it changes when the collector looks, never what it may collect in the end.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """For objects that are many and short of life, or few: collecting costs more than the work."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def collector_spared() -> Iterator[None]:
    """For objects that are many and stay: they go to the oldest generation at once.

    Left young, each would be looked at twice on its way there, which costs as much as it took to
    make. `freeze` and `unfreeze` move all that is young, without a look at any. What is garbage by
    now is collected first, so that it is not moved along; what a program has frozen stays so.
    """
    if not gc.isenabled() or gc.get_freeze_count():
        with collector_paused():
            yield
        return
    gc.collect(1)
    with collector_paused():
        yield
        gc.freeze()
        gc.unfreeze()
