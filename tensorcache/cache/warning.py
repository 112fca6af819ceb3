"""Warnings: said once, and no more than one for each call.

What fails after the first failure of a call mostly follows from it: an entry that cannot be read
for lack of descriptors cannot be published for lack of them. The first is a warning, the others
are told as info.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar

_log = logging.getLogger("tensorcache")
_call: ContextVar[list[str] | None] = ContextVar("tensorcache_call", default=None)


class Warnings:
    """What a cache has said."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def say(self, message: str) -> None:
        """Warn of it, unless it was said before; as info where this call has a warning already."""
        if message in self._said:
            return
        call = _call.get()
        if call:
            _log.info("%s", message)
            return  # another call, in which it comes first, may warn of it
        self._said.add(message)
        _log.warning("%s", message)
        if call is not None:
            call.append(message)


@contextlib.contextmanager
def one_call() -> Iterator[None]:
    """The warnings within are of one call."""
    token = _call.set([])
    try:
        yield
    finally:
        _call.reset(token)
