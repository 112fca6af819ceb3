"""Switch: what a cache may do now, in this thread or task, and the builds that do it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from contextvars import ContextVar

from tensorcache import disk
from tensorcache.cache.build import Builds
from tensorcache.errors import CacheFull, ReadOnlyCache, TensorCacheError
from tensorcache.limits import Limits

# The switches that are off in this thread or task: one variable, for a variable is never collected.
_off: ContextVar[tuple[object, ...]] = ContextVar("tensorcache_off", default=())
_REMEDIES = {
    errno.ENOSPC: "free some space, or run tensorcache vacuum",
    errno.EDQUOT: "free some of your quota, or run tensorcache vacuum",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EMFILE: "close some files, or raise the limit on them (ulimit -n)",
    errno.ENFILE: "the machine has too many files open: try again",
    errno.EIO: "check the disk that it lies on",
    errno.ENOENT: "it was removed: open it anew",
}


class Switch:
    """On as the cache was opened, or off inside `disabled()`."""

    def __init__(
        self, root: disk.Root, *, mode: str, verify: str, limits: Limits, cannot: str
    ) -> None:
        self._path = root.path
        self._mode = mode
        self._may_write = mode in ("rw", "refresh") and not cannot
        memory = disk.Memory(root, write=self._may_write)
        self._on = Builds(root, memory, verify, limits, cannot)
        why = "not published: inside cache.disabled()"
        memory = disk.Memory(root, write=False)
        self._disabled = Builds(root, memory, verify, limits, cannot or why)

    @contextlib.contextmanager
    def disabled(self) -> Iterator[None]:
        """Off, for this thread or task alone, until the block ends."""
        _off.set((*_off.get(), self))
        try:
            yield
        finally:
            # Once less, and no token: blocks of generators may end in any order.
            left = list(_off.get())
            if self in left:  # a generator may be closed by another thread
                left.remove(self)
            _off.set(tuple(left))

    @property
    def is_off(self) -> bool:
        """Whether this thread or task is inside `disabled()`."""
        off = _off.get()
        return bool(off) and any(one is self for one in off)

    @property
    def mode(self) -> str:
        """`rw`, `ro`, `refresh` or `off`."""
        return "off" if self.is_off else self._mode

    @property
    def writes(self) -> bool:
        """Whether anything may be written."""
        return self._may_write and not self.is_off

    @property
    def builds(self) -> Builds:
        """The way to entries, with the memory of stats that goes with it."""
        return self._disabled if self.is_off else self._on

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """What a person asked to be written: failures have names, and are raised.

        Raises:
            ReadOnlyCache, CacheFull: it cannot be.
        """
        if self._mode in ("rw", "refresh") and not self.is_off and not self.writes:
            raise ReadOnlyCache(f"{self._on.cannot}: mend that, and open it anew")
        if not self.writes:
            by_environment = os.environ.get("TENSORCACHE_MODE") == self.mode
            remedy = "unset TENSORCACHE_MODE" if by_environment else "open it with mode='rw'"
            remedy = "leave cache.disabled()" if self.is_off else remedy
            raise ReadOnlyCache(
                f"{self._path!r} is open with mode={self.mode!r}, which writes nothing: {remedy}"
            )
        try:
            yield
        except TensorCacheError:
            raise
        except OSError as error:
            kind = CacheFull if error.errno in disk.FULL else ReadOnlyCache
            remedy = _REMEDIES.get(error.errno or 0, "check who may write there")
            raise kind(f"{self._path!r} cannot be written: {error}: {remedy}") from error
