"""Audit: which fields of a configuration a build reads, beside those that its key is made from.

Rules of this room: standard library only, and imported by whoever asks for an audit, so that a hit
without one pays nothing. A *field* is a place by its dotted path, `training.rolling_windows`; a
list is one field and given as itself. A *branch* is a mapping or an object of fields and given as
a view; `training.*` stands for its names. In doubt more counts as read by a build than was.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple, TypeVar, cast

from tensorcache.errors import UnkeyedRead
from tensorcache.key import MAX_DEPTH

MOST_NAMES = 200  # of each kind in a manifest, and MOST_SAID in a message
MOST_SAID = 10
_MARKS = {"__dataclass_fields__", "__pydantic_core_schema__", "__fields__", "__attrs_attrs__"}
_NAMESPACES = {("types", "SimpleNamespace"), ("argparse", "Namespace")}
_PASSED_ON = ("__iter__", "__len__", "__getitem__", "__contains__", "__bool__")
_T = TypeVar("_T")
_log = logging.getLogger("tensorcache")


def audited(config: _T) -> _T:
    """A view of `config` that records which of its fields are read, and is read as `config` is.

    Mappings, dataclasses, pydantic models, namespaces and plain objects are branches; any other
    value is given as itself. Properties and methods count by what they read. What takes a branch
    as a whole (`model_dump()`, `vars()`, `**`, `==`, `repr`, a copy, pickle) reads all of it; what
    is copied, dumped or sent to another process is plain. A view of a mapping is no `dict`.

    Raises:
        TypeError: `config` has no fields.
    """
    if isinstance(config, _View):
        return config
    if not _is_branch(config):
        raise TypeError(f"audited({config!r:.60}): it has no fields: pass a mapping or an object")
    return cast("_T", _view(config, _Listeners(), ""))


class Audit(NamedTuple):
    """A view, and the fields read to make inputs of it; None: those that the inputs name."""

    seen: _Seen
    keyed: set[str] | None


@contextlib.contextmanager
def keying(view: Any) -> Iterator[Audit]:
    """While inputs and sources are made: what this thread reads of `view` is in the key.

    What it gives is the `audit` of `get_or_build` with these inputs.

    Raises:
        TypeError: it is no view.
    """
    keyed: set[str] = set()
    audit = Audit(_seen_by(view), keyed)
    with audit.seen.listeners.hearing(keyed, threading.get_ident()):
        yield audit


class Watch:
    """Listens to one build. `found` is what the manifest says of it, once it was built."""

    def __init__(self, audit: Any, inputs: Mapping[str, Any], *, strict: bool) -> None:
        seen: _Seen | None = getattr(inputs, "_audited_", None)
        self._inputs = seen
        inputs = seen.target if seen else inputs
        if strict and audit is None:
            raise TypeError("strict_keys=True without audit=: pass tensorcache.audited(config)")
        if audit is not None and not isinstance(audit, Audit):
            audit = Audit(_seen_by(audit), None)
        self._audit: Audit | None = audit
        self._strict = strict
        self._keyed = _keyed(audit, inputs) if audit else set()
        self.found: dict[str, list[str]] | None = None

    def build(self, build: Callable[[], Any], what: str) -> Any:
        """The payload of `build`; what it read that is not in the key is one warning.

        Raises:
            UnkeyedRead: with `strict`, instead of the warning.
        """
        read: set[str] = set()
        inputs_read: set[str] = set()
        with contextlib.ExitStack() as stack:
            if self._audit:
                stack.enter_context(self._audit.seen.listeners.hearing(read))
            if self._inputs:
                stack.enter_context(self._inputs.listeners.hearing(inputs_read))
            payload = build()
        unkeyed = _ends(read - _with_branches(self._keyed))
        unread = self._unread(read, inputs_read)
        shown = _ends(read) + [f"inputs.{name}" for name in _ends(inputs_read)]
        found = {"read": shown, "unkeyed": unkeyed, "unread": unread}
        self.found = {kind: names[:MOST_NAMES] for kind, names in found.items()}
        if unkeyed:
            self._say_unkeyed(what, unkeyed)
        if unread:
            _log.info("%s: no read of %s: does it need to be in the key?", what, _said(unread))
        return payload

    def refuse(self, found: Mapping[str, Any] | None, what: object) -> None:
        """Raise UnkeyedRead with `strict` where the build of a hit read what is not in the key."""
        if self._strict and found and found["unkeyed"]:
            raise UnkeyedRead(
                f"{what} was built from {_said(found['unkeyed'])}, which is not in its key: make "
                f"it part of the inputs, or build anew with refresh=True"
            )

    def _unread(self, read: set[str], inputs_read: set[str]) -> list[str]:
        if self._inputs:
            names = set(_leaves(self._inputs.target, ""))
            return [f"inputs.{name}" for name in _fields(names - inputs_read)]
        return _fields(set(_ends(self._keyed)) - _with_branches(read))

    def _say_unkeyed(self, what: str, unkeyed: list[str]) -> None:
        message = (
            f"{what}: the build read {_said(unkeyed)}, which is not in the key, so that a change "
            f"of it would be a stale hit: make it part of the inputs, or do not read it there"
        )
        if self._strict:
            raise UnkeyedRead(message)
        _log.warning("%s", message)


class _Listeners:
    """Who hears of the reads through the views of one configuration."""

    def __init__(self) -> None:
        self._heard: dict[object, tuple[int | None, set[str]]] = {}

    def note(self, path: str) -> None:
        for thread, heard in tuple(self._heard.values()):
            if thread is None or thread == threading.get_ident():
                heard.add(path)

    @contextlib.contextmanager
    def hearing(self, heard: set[str], thread: int | None = None) -> Iterator[None]:
        """Fill `heard` with the reads of one thread, or (None) of all: a build may use many."""
        mine = object()
        self._heard[mine] = thread, heard
        try:
            yield
        finally:
            del self._heard[mine]


class _Seen(NamedTuple):
    """A branch that a view stands for."""

    target: Any
    listeners: _Listeners
    path: str

    def read(self, name: object, value: Any) -> Any:
        """A value that was read: itself, or a view if it is a branch."""
        path = _join(self.path, name)
        self.listeners.note(path)
        return _view(value, self.listeners, path) if _is_branch(value) else value

    def note(self, name: object) -> None:
        """Something of this name was read, were it only that it is there or absent."""
        self.listeners.note(_join(self.path, name))

    def whole(self) -> Any:
        """The branch itself: all of it is read."""
        for path in _leaves(self.target, self.path):
            self.listeners.note(path)
        return self.target


class _View:
    """What branches have in common; its one slot has a name that no field has."""

    __slots__ = ("_audited_",)
    _audited_: _Seen

    def __getattr__(self, name: str) -> Any:
        seen = self._audited_
        target, kind = seen.target, type(seen.target)
        own = getattr(target, "__dict__", {})
        if name == "__dict__":
            return {field: seen.read(field, value) for field, value in own.items()}
        found = next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)
        # A property or method of the config's own reads fields: by way of the view.
        if isinstance(found, property):
            return found.__get__(self, kind)
        if isinstance(found, functools.cached_property):
            return found.func(self)
        if name in own and not name.startswith("__"):
            return seen.read(name, own[name])
        if isinstance(found, staticmethod | classmethod):
            return getattr(target, name)
        if isinstance(found, FunctionType) and not _is_foreign(found, target):
            return MethodType(found, self)
        try:
            value = getattr(target, name)
        except AttributeError:
            if not name.startswith("__"):
                seen.note(name)
            raise
        if found is not None and callable(value):
            return getattr(seen.whole(), name)
        return value if name.startswith("__") else seen.read(name, value)

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return _itself, (self._audited_.whole(),)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _View):
            other = other._audited_.whole()
        return bool(self._audited_.whole() == other)

    def __hash__(self) -> int:
        return hash(self._audited_.whole())

    def __repr__(self) -> str:
        return repr(self._audited_.whole())

    def __str__(self) -> str:
        return str(self._audited_.whole())


class _MappingView(_View, Mapping[Any, Any]):
    __slots__ = ()

    def __getitem__(self, name: Any) -> Any:
        seen = self._audited_
        try:
            value = seen.target[name]
        except KeyError:
            seen.note(name)
            raise
        return seen.read(name, value)

    def get(self, name: Any, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 - of a defaultdict too

    def __contains__(self, name: object) -> bool:
        self._audited_.note(name)
        return name in self._audited_.target

    def __iter__(self) -> Iterator[Any]:
        self._audited_.note("*")
        return iter(self._audited_.target)

    def __len__(self) -> int:
        self._audited_.note("*")
        return len(self._audited_.target)


class _ObjectView(_View):
    __slots__ = ()

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._audited_.target)  # isinstance asks for it: a config stays a Config


@functools.cache
def _object_view(kind: type) -> type[_ObjectView]:
    """The views of objects of `kind`: Python looks these names up in classes alone."""
    names: dict[str, Any] = {name: _passed_on(name) for name in _PASSED_ON if hasattr(kind, name)}
    if hasattr(kind, "__dataclass_fields__"):  # so that dataclasses.asdict takes a view
        names["__dataclass_fields__"] = kind.__dataclass_fields__
    return type("View", (_ObjectView,), {"__slots__": (), **names})


def _passed_on(name: str) -> Callable[..., Any]:
    def method(view: _View, *arguments: Any) -> Any:
        return getattr(view._audited_.whole(), name)(*arguments)

    return method


def _view(branch: Any, listeners: _Listeners, path: str) -> Any:
    kind = type(branch)
    mapping = isinstance(branch, Mapping)
    # mypy takes a class for something unhashable.
    view: _View = _MappingView() if mapping else _object_view(kind)()  # type: ignore[arg-type]
    view._audited_ = _Seen(branch, listeners, path)
    return view


def _is_branch(value: Any) -> bool:
    bases = type(value).__mro__
    if (
        isinstance(value, Mapping)
        or any(_MARKS & vars(base).keys() for base in bases)
        or any((base.__module__, base.__name__) in _NAMESPACES for base in bases)
    ):
        return True
    # A plain object: arrays, frames and the like say what equals them, functions are called.
    compares = any("__eq__" in vars(base) for base in bases[:-1])
    called = callable(value) or isinstance(value, ModuleType | enum.Enum | BaseException)
    return hasattr(value, "__dict__") and not compares and not called


def _is_foreign(function: FunctionType, target: Any) -> bool:
    """Whether a method may look below the fields, at what a view has not."""
    return isinstance(target, Mapping) or function.__module__.startswith("pydantic")


def _fields_of(branch: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(branch, Mapping):
        return branch.items()
    fields = dict(getattr(branch, "__dict__", {}))
    for name in getattr(type(branch), "__dataclass_fields__", ()):  # which may lie in slots
        fields.setdefault(name, getattr(branch, name, None))
    return fields.items()


def _leaves(branch: Any, path: str, depth: int = 0) -> Iterator[str]:
    """The fields in a branch, and the names of the mappings in it."""
    if isinstance(branch, Mapping):
        yield _join(path, "*")
    for name, value in _fields_of(branch):
        inner = _join(path, name)
        yield inner
        if depth < MAX_DEPTH and _is_branch(value):
            yield from _leaves(value, inner, depth + 1)


def _keyed(audit: Audit, inputs: Mapping[str, Any]) -> set[str]:
    """The fields of the audited configuration that are in the key."""
    keyed = set(_named(inputs, audit.seen.target, "")) if audit.keyed is None else set(audit.keyed)
    for seen in _branches_in(inputs):
        if seen.listeners is audit.seen.listeners:
            keyed.update(_leaves(seen.target, seen.path))
    return keyed


def _named(inputs: Any, branch: Any, path: str) -> Iterator[str]:
    """The fields of `branch` that `inputs` have under the same path."""
    fields = dict(_fields_of(branch)) if _is_branch(branch) else {}
    if fields.keys() <= inputs.keys():
        yield _join(path, "*")
    for name, value in inputs.items():
        inner = _join(path, name)
        yield inner
        if isinstance(value, Mapping):
            yield from _named(value, fields.get(name), inner)


def _branches_in(inputs: Any) -> Iterator[_Seen]:
    if isinstance(inputs, _View):
        yield inputs._audited_
    elif isinstance(inputs, Mapping):
        for value in inputs.values():
            yield from _branches_in(value)


def _seen_by(view: Any) -> _Seen:
    if not isinstance(view, _View):
        raise TypeError(f"{view!r:.60} is no view: pass what tensorcache.audited(config) gave")
    return view._audited_


def _join(path: str, name: object) -> str:
    text = name if type(name) is str and "." not in name else f"[{name!r}]"
    return f"{path}.{text}" if path else str(text)


def _with_branches(paths: set[str]) -> set[str]:
    """`paths`, and the branches that they lie in: who reads a field knows that those are there."""
    found = set(paths)
    for path in paths:
        while (path := path.rpartition(".")[0]) and path not in found:
            found.add(path)
    return found


def _ends(paths: set[str]) -> list[str]:
    """`paths` without the branches that others of them lie in."""
    branches = {path.rpartition(".")[0] for path in _with_branches(paths)}
    return sorted(path for path in paths if path not in branches)


def _fields(paths: set[str]) -> list[str]:
    return [path for path in _ends(paths) if path.rpartition(".")[2] != "*"]


def _said(names: list[str]) -> str:
    more = f" and {len(names) - MOST_SAID} more" if len(names) > MOST_SAID else ""
    return ", ".join(names[:MOST_SAID]) + more


def _itself(value: Any) -> Any:
    return value
