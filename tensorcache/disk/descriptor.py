"""Descriptors that no interrupt leaves open.

Ctrl-C may raise after any call, also between the kernel's answer and the name that it was to get.
So the call that opens a file is the one that notes its number, and what nobody refers to any more
closes itself. It is a second line: whoever opens something closes it, by `with` or `finally`.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import os
import sys
from collections.abc import Callable


class Descriptor:
    """A file, open until it is closed or forgotten; never inherited by another program."""

    _numbers: list[int] | tuple[()] = ()  # none yet, whatever interrupts its making
    _status: os.stat_result | None = None

    def __init__(self, path: str, flags: int, mode: int = 0o666) -> None:
        numbers: list[int] = []
        self._numbers = numbers
        # One call for Python, and so no moment at which it is open and not noted.
        numbers.extend(map(os.open, (path,), (flags | os.O_CLOEXEC,), (mode,)))

    def __enter__(self) -> int:
        return self.number

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if self._numbers and not ending():  # else the kernel closes what is left
            Descriptor.close(self)  # and no heir: finalizers run anywhere, so they wait for nothing

    @property
    def is_open(self) -> bool:
        """Whether it is open still."""
        return bool(self._numbers)

    @property
    def number(self) -> int:
        """What the kernel knows it by.

        Raises:
            OSError: it is closed.
        """
        if not self._numbers:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._numbers[0]

    @property
    def status(self) -> os.stat_result:
        """What the kernel said of it when it was first asked for."""
        # No cached_property: until Python 3.12 it has a lock, which a fork would find locked.
        if self._status is None:
            self._status = os.fstat(self.number)
        return self._status

    def close(self) -> None:
        """Close it, once."""
        if self._numbers:
            # One call again, and so no interrupt, and no fork by a signal's handler, between what
            # is noted and what is open.
            with contextlib.suppress(IndexError):  # all are closed
                collections.deque(map(os.close, iter(self._numbers.pop, None)), maxlen=0)
