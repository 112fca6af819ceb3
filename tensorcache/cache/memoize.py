"""Memoize: a plain function whose results are kept, by its bound and defaulted arguments."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from tensorcache.errors import UnkeyableValue
from tensorcache.key import NoKeyNow, canonical, check_namespace
from tensorcache.source import CodeVersion, Source

if TYPE_CHECKING:
    from tensorcache.cache.main import Cache
    from tensorcache.entry import Entry
    from tensorcache.key import Key

P = ParamSpec("P")
R = TypeVar("R")
Sources = Mapping[str, Source] | Callable[..., Mapping[str, Source]]
_MOST_CHARACTERS = 60  # of a namespace
_SCRIPTS = ("__main__", "__mp_main__")  # as the processes of a pool call it


class Memoized(Generic[P, R]):
    """A function behind a cache. `__wrapped__` is the function itself."""

    __wrapped__: Callable[P, R]

    def __init__(
        self,
        cache: Cache,
        function: Callable[P, R],
        *,
        version: str | CodeVersion,
        sources: Sources | None,
        ignore: Collection[str],
        namespace: str | None,
    ) -> None:
        functools.update_wrapper(self, function)
        self._signature = _signature(function, ignore)
        self._cache = cache
        self._sources = sources or {}
        self._ignore = ignore
        self._version = version
        self._namespace = namespace_of(function) if namespace is None else namespace
        check_namespace(self._namespace)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function returns, in exactly the types that it stored, also when it just ran."""
        return cast("R", self.entry(*args, **kwargs).load())

    def entry(self, *args: P.args, **kwargs: P.kwargs) -> Entry:
        """The result as an `Entry`, whose sections open when they are touched."""
        bound, inputs, sources = self._asked(*args, **kwargs)
        with self._naming(inputs):
            return self._cache.get_or_build(
                inputs,
                lambda: self.__wrapped__(*bound.args, **bound.kwargs),
                sources=sources,
                version=self._version,
                namespace=self._namespace,
            )

    def key(self, *args: P.args, **kwargs: P.kwargs) -> Key:
        """The key of a call; nothing is run.

        Raises:
            UnkeyableValue: an argument cannot be part of a key, or a source be told now.
        """
        _, inputs, sources = self._asked(*args, **kwargs)
        with self._naming(inputs):
            return self._cache.key(
                inputs, sources=sources, version=self._version, namespace=self._namespace
            )

    def cached(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Whether a call would be a hit; nothing is run."""
        return self.key(*args, **kwargs) in self._cache

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> str:
        return _name(self.__wrapped__)  # pickled by name, as a function is

    def _asked(
        self, *args: Any, **kwargs: Any
    ) -> tuple[inspect.BoundArguments, dict[str, Any], Mapping[str, Source]]:
        """How the function is called, with defaults; the inputs and sources of that call."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        inputs = {k: value for k, value in bound.arguments.items() if k not in self._ignore}
        found = self._sources
        return bound, inputs, found(*bound.args, **bound.kwargs) if callable(found) else found

    @contextlib.contextmanager
    def _naming(self, inputs: Mapping[str, Any]) -> Iterator[None]:
        """Say which argument it is that cannot be part of a key, if it is one of ours."""
        try:
            yield
        except UnkeyableValue:
            for name, value in inputs.items():
                try:
                    canonical(value, name)
                except NoKeyNow:
                    continue
                except UnkeyableValue as error:
                    path, _, rest = str(error).partition(": ")
                    raise UnkeyableValue(
                        f"{_name(self.__wrapped__)}({path}): {rest}; or ignore=({name!r},), if it "
                        f"changes no result"
                    ) from None
            raise


def namespace_of(function: Callable[..., Any]) -> str:
    """The namespace of a function: module and name, with a digest wherever those do not fit.

    Raises:
        TypeError: others may have the same name: it is a lambda, partial or local function, or of
            a script or notebook, each of which is called `__main__`.
    """
    name = _name(function)
    module = str(getattr(function, "__module__", None))
    exact = f"{module}.{name}"
    if "<" in name or not hasattr(function, "__qualname__") or module in _SCRIPTS:
        raise TypeError(f"memoize: {exact} is a name that others may have: pass namespace=")
    plain = re.sub(r"[^a-z0-9_.]", "_", exact.lower()).lstrip("_.0123456789")
    plain = re.sub(r"\.{2,}", ".", plain).rstrip(".")
    plain = f"f_{plain}" if plain.startswith("sqlite_") else plain  # which is for its own tables
    if plain == exact and len(exact) <= _MOST_CHARACTERS:
        return exact
    # No two functions may share a namespace: they would share results.
    digest = hashlib.sha256(exact.encode()).hexdigest()[:8]
    return f"{(plain or 'f')[: _MOST_CHARACTERS - 9].rstrip('.')}_{digest}"


def _signature(function: Callable[..., Any], ignore: Collection[str]) -> inspect.Signature:
    """The signature, of a function that may be memoized.

    Raises:
        TypeError: it returns no value to keep, or takes `self`, or has no parameter to ignore.
    """
    name = _name(function)
    if not callable(function):
        raise TypeError(
            f"memoize: {function!r:.60} is no function: write @cache.memoize(version=…)"
        )
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"memoize: {name} is async: memoize the plain function that it awaits")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"memoize: {name} is a generator: return a list")
    signature = inspect.signature(function)
    unknown = [one for one in ignore if one not in signature.parameters]
    if unknown:
        there = ", ".join(signature.parameters)
        raise TypeError(
            f"memoize: {name} has no parameter {unknown[0]!r} to ignore: it has {there}"
        )
    first = next(iter(signature.parameters), "")
    if first in ("self", "cls") and first not in ignore:
        raise TypeError(
            f"memoize: {name} is a method, and {first!r} cannot be part of a key: memoize a "
            f"function of what counts in it, or write ignore=({first!r},) if nothing does"
        )
    return signature


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))
