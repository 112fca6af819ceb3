"""Views: read as the configuration is, and whoever listens hears of it; written, it is written."""

from __future__ import annotations

import contextlib
import enum
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple, TypeVar, cast

from tensorcache.key import MAX_DEPTH

_MARKS = {"__dataclass_fields__", "__pydantic_core_schema__", "__fields__", "__attrs_attrs__"}
_NAMESPACES = {("types", "SimpleNamespace"), ("argparse", "Namespace")}
_PASSED_ON = (
    "__iter__ __len__ __getitem__ __contains__ __bool__ __setitem__ __delitem__ __reversed__ "
    "__or__ __ror__".split()
)
_STANDARD = os.path.dirname(os.__file__)
_INSTALLED = {"site-packages", "dist-packages"}
_T = TypeVar("_T")


def audited(config: _T) -> _T:
    """A view of `config` that records which of its fields are read, and is read as `config` is.

    Mappings, dataclasses, pydantic models, attrs, namespaces and plain objects of your own classes
    are branches; any other value, such as a logger, is given as itself. Properties and methods
    count by what they read. What takes a branch as a whole (`model_dump()`, `vars()`, `**`, `==`,
    `|`, `repr`, a copy, pickle) reads all of it; what is copied, dumped or sent to another process
    is plain. What is written goes to `config`. A view of a mapping is no `dict`.

    Raises:
        TypeError: `config` has no fields.
    """
    if isinstance(config, _View):
        return config
    if not is_branch(config):
        raise TypeError(
            f"audited({config!r:.60}): it has no fields: pass a mapping or an object of a class of "
            f"your own"
        )
    return cast("_T", _view(config, Listeners(), ""))


def seen_by(view: Any) -> Seen:
    """What a view stands for.

    Raises:
        TypeError: it is no view.
    """
    if not isinstance(view, _View):
        raise TypeError(f"{view!r:.60} is no view: pass what tensorcache.audited(config) gave")
    return view._audited_


class Listeners:
    """Who hears of the reads through the views of one configuration."""

    def __init__(self) -> None:
        self._heard: dict[object, tuple[int | None, set[str]]] = {}

    def note(self, path: str) -> None:
        """Something was read."""
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


class Seen(NamedTuple):
    """A branch that a view stands for."""

    target: Any
    listeners: Listeners
    path: str

    def read(self, name: object, value: Any) -> Any:
        """A value that was read: itself, or a view if it is a branch."""
        path = join(self.path, name)
        self.listeners.note(path)
        return _view(value, self.listeners, path) if is_branch(value) else value

    def note(self, name: object) -> None:
        """Something of this name was read, were it only that it is there or absent."""
        self.listeners.note(join(self.path, name))

    def whole(self) -> Any:
        """The branch itself: all of it is read."""
        for path in leaves_of(self.target, self.path):
            self.listeners.note(path)
        return self.target


class _View:
    """What branches have in common; its one slot has a name that no field has."""

    __slots__ = ("_audited_",)
    _audited_: Seen

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
            if not name.startswith("__") and name != "keys":  # as dict() asks of any object
                seen.note(name)
            raise
        if found is not None and callable(value):
            return getattr(seen.whole(), name)
        return value if name.startswith("__") else seen.read(name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._audited_.target, name, _plain(value))

    def __delattr__(self, name: str) -> None:
        delattr(self._audited_.target, name)

    def _key_(self) -> Any:
        return self._audited_.target

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return _itself, (self._audited_.whole(),)

    def __eq__(self, other: object) -> bool:
        return bool(self._audited_.whole() == _plain(other))

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

    def __setitem__(self, name: Any, value: Any) -> None:
        self._audited_.target[name] = _plain(value)

    def __delitem__(self, name: Any) -> None:
        del self._audited_.target[name]

    def __iter__(self) -> Iterator[Any]:
        self._audited_.note("*")
        return iter(self._audited_.target)

    def __reversed__(self) -> Iterator[Any]:
        self._audited_.note("*")
        return cast("Iterator[Any]", reversed(self._audited_.target))

    def __or__(self, other: Any) -> Any:
        return self._audited_.whole() | _plain(other)

    def __ror__(self, other: Any) -> Any:
        return other | self._audited_.whole()

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
        return getattr(view._audited_.whole(), name)(*map(_plain, arguments))

    return method


def _view(branch: Any, listeners: Listeners, path: str) -> Any:
    kind = type(branch)
    mapping = isinstance(branch, Mapping)
    # mypy takes a class for something unhashable.
    view: _View = _MappingView() if mapping else _object_view(kind)()  # type: ignore[arg-type]
    object.__setattr__(view, "_audited_", Seen(branch, listeners, path))
    return view


def _plain(value: Any) -> Any:
    """A value as the configuration may hold it."""
    return value._audited_.whole() if isinstance(value, _View) else value


def is_branch(value: Any) -> bool:
    """Whether it is made of fields: a mapping, or an object that holds values by name."""
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
    plain = hasattr(value, "__dict__") and not compares and not called
    # mypy takes a class for something unhashable.
    return plain and not _is_installed(type(value))  # type: ignore[arg-type]


@functools.cache
def _is_installed(kind: type) -> bool:
    """Whether a class is of the standard library or an installed one: a logger, a generator."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if file is None:
        return kind.__module__.partition(".")[0] in sys.stdlib_module_names
    return file.startswith(_STANDARD + os.sep) or not _INSTALLED.isdisjoint(file.split(os.sep))


def _is_foreign(function: FunctionType, target: Any) -> bool:
    """Whether a method may look below the fields, at what a view has not."""
    return isinstance(target, Mapping) or function.__module__.startswith("pydantic")


def fields_of(branch: Any) -> Iterable[tuple[Any, Any]]:
    """Names and values, by no view."""
    if isinstance(branch, Mapping):
        return branch.items()
    fields = dict(getattr(branch, "__dict__", {}))
    attrs = [one.name for one in getattr(type(branch), "__attrs_attrs__", ())]
    for name in (*getattr(type(branch), "__dataclass_fields__", ()), *attrs):  # perhaps in slots
        fields.setdefault(name, getattr(branch, name, None))
    return fields.items()


def leaves_of(branch: Any, path: str, depth: int = 0) -> Iterator[str]:
    """The fields in a branch, and the names of the mappings in it."""
    if isinstance(branch, Mapping):
        yield join(path, "*")
    for name, value in fields_of(branch):
        inner = join(path, name)
        yield inner
        if depth < MAX_DEPTH and is_branch(value):
            yield from leaves_of(value, inner, depth + 1)


def join(path: str, name: object) -> str:
    """The path of a field; a name that is no str, has a dot or cannot be printed, in brackets."""
    plain = type(name) is str and "." not in name and name.isprintable()
    text = name if plain else f"[{name!a}]"  # no surrogate: a manifest could not hold it
    return f"{path}.{text}" if path else str(text)


def _itself(value: Any) -> Any:
    return value
