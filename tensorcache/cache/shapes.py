"""Shapes: a cache that is off for a while, and one behind a function; the base of `Cache`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from tensorcache import disk
from tensorcache.cache.build import Builds
from tensorcache.source import CodeVersion

if TYPE_CHECKING:
    from tensorcache.cache.main import Cache
    from tensorcache.cache.memoize import Memoized, Sources

P = ParamSpec("P")
R = TypeVar("R")
# The caches that are off in this thread or task: one variable, for a variable is never collected.
_off: ContextVar[tuple[object, ...]] = ContextVar("tensorcache_off", default=())


class Shapes:
    """What depends on whether this thread or task is inside `disabled()`."""

    def __init__(
        self, root: disk.Root, *, mode: str, verify: str, cannot: str, may_write: bool
    ) -> None:
        self._mode = mode
        self._may_write = may_write
        self._on = Builds(root, disk.Memory(root, write=may_write), verify, cannot)
        why = "not published: inside cache.disabled()"
        self._disabled = Builds(root, disk.Memory(root, write=False), verify, cannot or why)

    @contextlib.contextmanager
    def disabled(self) -> Iterator[None]:
        """`with cache.disabled():` this cache neither reads nor writes, as with mode="off".

        `get_or_build` builds, and gives an entry in memory. It counts for this thread or asyncio
        task alone: a thread begun inside is on (before Python 3.14), what others do is theirs. It
        may be nested, and ends with the block, however that ends.
        """
        token = _off.set((*_off.get(), self))
        try:
            yield
        finally:
            _off.reset(token)

    @property
    def _is_off(self) -> bool:
        return any(one is self for one in _off.get())

    @property
    def mode(self) -> str:
        """`rw`, `ro`, `refresh` or `off`, which it also is inside `disabled()`."""
        return "off" if self._is_off else self._mode

    @property
    def _writes(self) -> bool:
        return self._may_write and not self._is_off

    @property
    def _builds(self) -> Builds:
        return self._disabled if self._is_off else self._on

    @property
    def _memory(self) -> disk.Memory:
        return self._builds.memory

    def memoize(
        self,
        *,
        version: str | CodeVersion,
        sources: Sources | None = None,
        ignore: tuple[str, ...] = (),
        namespace: str | None = None,
    ) -> Callable[[Callable[P, R]], Memoized[P, R]]:
        """Keep the results of a plain function: `@cache.memoize(version="1")`.

        The inputs are its arguments by name, defaults among them, so that it does not count how a
        call is written. It gives what the function returns, in the types that it returned, on a
        miss too; `.entry(…)` gives the Entry, `.key(…)` and `.cached(…)` run nothing.

        Args:
            version: which code builds: `code_version(module)`, or text that you change by hand.
            sources: by name, or a function that takes the same arguments and gives them.
            ignore: arguments that change no result.
            namespace: else module and name of the function, if it is no local one. Values that it
                closes over are not in the key.

        Raises:
            TypeError: the function is async, a generator or a method, or needs a namespace.
            UnkeyableValue: when it is called with what cannot be part of a key.
        """
        from tensorcache.cache.memoize import Memoized  # inspect, which get_or_build never needs

        return lambda function: Memoized(
            cast("Cache", self),
            function,
            version=version,
            sources=sources,
            ignore=ignore,
            namespace=namespace,
        )
