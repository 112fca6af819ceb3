"""The version of code: which modules build, and a digest of their normal form.

Rules of this room: nothing is imported that was not already, not even a parent package; a
description touches no file. The digest (`code-2`) is over names and normal forms of the modules
that were named and of what they import from the same project (`cover.py`), never over paths.

All that a version was made from is remembered together: an unchanged set of modules costs a hit one
small JSON file and a stat for each module and each directory in which an import was looked for. So
a new module that would be found first is noticed, like one that an optional import waits for.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from types import CodeType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from blake3 import blake3

from tensorcache.errors import UnkeyableValue
from tensorcache.manifest import Part, Parts
from tensorcache.source.content import update_framed
from tensorcache.source.memory import Memory, stat_if_any

if TYPE_CHECKING:
    from tensorcache.source.cover import Cover

_SCHEME = "code-2:blake3:"
_PYTHONS_OWN = (BuiltinImporter, FrozenImporter, PathFinder)  # answer by what has a stat


class CodeVersion(NamedTuple):
    """The modules whose code is the version, as (name, file or directory).

    None in place of a file: found by its name, when the version is asked for. `depends_on` are
    installed packages, whose versions count. `beside` are modules that count if they are of the
    project: those of wrappers, of the class that a method is bound to, of a partial's arguments.
    """

    modules: tuple[tuple[str, str | None], ...]
    depends_on: tuple[str, ...] = ()
    beside: tuple[tuple[str, str], ...] = ()

    def covers(self) -> dict[str, str]:
        """What counts: each module with its file, then `package torch` with its version.

        Raises:
            UnkeyableValue, SourceMissing: there is no version now.
        """
        parts = _cover(self, _search_path(), {}, {}).parts()
        return {name: place for name, (_, place) in parts.items()}


class Version(NamedTuple):
    """A version as it is now: `text` goes into the key, `parts` say what it covers.

    A module has the bytes of its normal form and their digest; `package torch` has 0 bytes and its
    version as digest. None: given by hand.
    """

    text: str
    parts: Parts | None


def code_version(*things: Any, depends_on: Sequence[str] = ()) -> CodeVersion:
    """The version of what these functions, classes and modules are written in, and import.

    A function or class stands for the module that it is written in, a package for every module
    below it. A str names a module or package, which is found but not imported. Partials, bound
    methods and wrappers with `__wrapped__` stand for what is inside, and for whatever else of the
    project they are made of: wrappers, classes, functions as arguments. Imports are followed
    as far as they lead to source of the same project, that is to none of the standard library or
    of an installed package; what is imported by a computed name cannot be seen, and may be named
    here.

    Args:
        things: functions, classes, modules, or names of modules.
        depends_on: installed packages whose versions count, as pip names them.

    Raises:
        UnkeyableValue: something has no source file (built in, compiled, typed at a prompt).
    """
    if not things:
        raise UnkeyableValue("version: code_version() of nothing: pass the builder, or its modules")
    if isinstance(depends_on, str) or not all(type(one) is str and one for one in depends_on):
        _refuse(depends_on, "is no list of packages", "write depends_on=['torch']")
    modules = tuple(module for thing in things for module in _modules(thing))
    layers = (layer for thing in things for layer in _layers(thing))
    beside = {module for layer in layers for module in _written_in(layer)}
    return CodeVersion(
        modules, tuple(sorted(set(depends_on))), tuple(sorted(beside.difference(modules)))
    )


def version_of(version: str | CodeVersion, memory: Memory) -> Version:
    """The version as it stands in the key: `hand:3`, or `code-2:blake3:…`, and what it covers.

    Raises:
        UnkeyableValue: no version at all, code that cannot be parsed, a package not installed.
        SourceMissing: a module that is not there.
    """
    if type(version) is CodeVersion:
        return _code_version_of(version, memory)
    if type(version) is not str:
        remedy = "code_version(it)" if callable(version) else "a str, as in version='3'"
        raise UnkeyableValue(f"version: {version!r:.80} is not a str: pass {remedy}")
    if not version.strip():
        raise UnkeyableValue(f"version: {version!r} is empty: pass version='1', or code_version(…)")
    return Version(f"hand:{version}", None)


def _code_version_of(version: CodeVersion, memory: Memory) -> Version:
    path = _search_path()
    name = f"{_SCHEME}{version!r}{path!r}"  # no path begins so
    known = memory.get(name)
    remembered = _recall(known)
    if remembered is not None:
        return remembered
    from tensorcache.source.cover import Facts  # ast costs 10 ms, and a hit needs none

    files, facts = {}, {}
    try:
        for text, (size, imports, exports) in known["facts"].items():
            taken = tuple((int(n), str(module), tuple(names)) for n, module, names in imports)
            facts[text] = Facts(int(size), taken, tuple(map(str, exports)))
        files = {f: one for f, one in known["files"].items() if one["identity"] in facts}
    except (TypeError, ValueError, KeyError, AttributeError):  # none, or garbled: costs only time
        files = {}
    cover = _cover(version, path, files, facts)
    parts = {name: part for name, (part, _) in cover.parts().items()}
    now = Version(_text_of(parts), parts)
    seen, files, facts, whole = cover.still()
    memory[name] = {
        "text": now.text if whole else None,
        "parts": parts,
        "seen": {path: stat and list(stat) for path, stat in seen.items()},  # as JSON has it
        "hooked": cover.hooked,
        "loaded": cover.loaded,
        "files": files,
        "facts": facts,
    }
    return now


def _recall(known: Any) -> Version | None:
    """What is remembered, if it is whole and nothing that it was made from has moved."""
    try:
        still = (
            all(_plain(path) == stat for path, stat in known["seen"].items())
            and all([_plain(path)] == one["stat"] for path, one in known["files"].items())
            and all(hooked(name) == place for name, place in known["hooked"].items())
            and all(loaded_from(name) == place for name, place in known["loaded"].items())
        )
        parts = {
            str(name): Part(int(size), str(digest))
            for name, (size, digest) in known["parts"].items()
        }
        text = known["text"]
    except (TypeError, ValueError, KeyError, AttributeError):  # none, or garbled
        return None
    return Version(text, parts) if still and text == _text_of(parts) else None


def loaded_from(name: str) -> list[Any] | None:
    """The [file or None, directories] of a module that this process has imported, if it has.

    As with `hooked`, no stat tells when that would change.
    """
    module = sys.modules.get(name)
    if module is None:
        return None
    file = getattr(module, "__file__", None)
    return [file and str(file), [str(path) for path in getattr(module, "__path__", ())]]


def hooked(name: str) -> list[Any] | None:
    """Where a finder that somebody added finds a module, as editable installs have one.

    As [file or None, directories], None for nowhere. No stat tells when it would say otherwise, so
    whoever remembers the answer asks again.
    """
    for finder in sys.meta_path:
        if finder not in _PYTHONS_OWN:
            try:
                place = found_by(finder, name)
            except ImportError:  # how a module is blocked
                return None
            if place is not None:
                return place
    return None


def found_by(finder: Any, name: str) -> list[Any] | None:
    """The [file or None, directories] of a top-level module."""
    find = getattr(finder, "find_spec", None)
    spec = None if find is None else find(name, None)
    if spec is None:
        return None
    return [spec.origin if spec.has_location else None, list(spec.submodule_search_locations or ())]


def _plain(path: str) -> list[int] | None:
    stat = stat_if_any(path)
    return None if stat is None else list(stat)


def _text_of(parts: Parts) -> str:
    hasher = blake3()
    for name, part in parts.items():
        update_framed(hasher, name.encode("utf-8", "surrogatepass"))
        update_framed(hasher, part.digest.encode("utf-8"))
    return _SCHEME + hasher.hexdigest()


def _cover(
    version: CodeVersion, path: list[str], files: dict[str, Any], facts: dict[str, Any]
) -> Cover:
    from tensorcache.source.cover import Cover  # ast costs 10 ms, and a hit needs none

    return Cover(version, path, files, facts)


def _search_path() -> list[str]:
    """`sys.path` as directories, without repetition."""
    path = [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)]
    return list(dict.fromkeys(path))


def _modules(thing: Any) -> list[tuple[str, str | None]]:
    if type(thing) is str:
        if not all(thing.split(".")) or "/" in thing or thing.endswith(".py"):
            _refuse(thing, "is no module's name", "write it as in an import, 'package.module'")
        return [(thing, None)]
    if isinstance(thing, ModuleType):
        names = vars(thing)
        if "__path__" in names:
            return [(_name(names), os.path.abspath(path)) for path in names["__path__"]]
        return [(_name(names), _source_file(thing, names))]
    thing = _middle(thing)
    code = getattr(thing, "__code__", None)
    if isinstance(code, CodeType):
        if code.co_filename.startswith("<"):  # typed, or made by exec: in no file
            has_no_file(thing)
        return [(_name(thing.__globals__), _source_file(thing, thing.__globals__))]
    kind = thing if isinstance(thing, type) else type(thing)
    if not callable(thing):
        _refuse(thing, "is no code", "pass functions, classes, modules or their names")
    names = vars(sys.modules.get(kind.__module__, sys))
    return [(_name(names), _source_file(thing, names))]


def _middle(thing: Any) -> Any:
    """The function inside partials, bound methods and what functools.wraps has made."""
    seen: list[Any] = []
    while not any(thing is one for one in seen):
        seen.append(thing)
        thing = _within(thing)[0]
    return thing


def _layers(thing: Any) -> list[Any]:
    """All that a call of `thing` goes through, with the classes and arguments that come with it."""
    layers: list[Any] = []
    stack = [] if isinstance(thing, str | ModuleType) else [thing]
    while stack:
        layer = stack.pop()
        if not any(layer is one for one in layers):
            layers.append(layer)
            stack += _within(layer)
    return layers


def _within(layer: Any) -> list[Any]:
    """What a layer calls, which is itself in the middle; then what it takes along."""
    if isinstance(layer, functools.partial):
        return [layer.func, *filter(callable, (*layer.args, *layer.keywords.values()))]
    if isinstance(layer, MethodType):  # before `__wrapped__`, which it has if its function has
        owner = layer.__self__
        return [layer.__func__, owner if isinstance(owner, type) else type(owner)]
    return [getattr(layer, "__wrapped__", getattr(layer, "__func__", layer))]


def _written_in(layer: Any) -> Iterator[tuple[str, str]]:
    """The modules of a function, or of a class and its bases; what is compiled has none."""
    code = getattr(layer, "__code__", None)
    if isinstance(code, CodeType):
        if code.co_filename.startswith("<"):
            has_no_file(layer)
        places = [layer.__globals__]
    else:
        kind = layer if isinstance(layer, type) else type(layer)
        places = [vars(sys.modules.get(one.__module__, sys)) for one in kind.__mro__]
    for names in places:
        file = names.get("__file__")
        if file is None and _name(names) == "__main__":  # typed at a prompt, or in a notebook
            has_no_file(layer)
        if isinstance(file, str) and file.endswith((".py", ".pyw")):
            yield _name(names), os.path.abspath(file)


def _name(names: dict[str, Any]) -> str:
    """The name that a module has for whoever imports it, also where it runs as the script."""
    spec = names.get("__spec__")
    if spec is not None:
        return str(spec.name)
    name = str(names.get("__name__"))
    return "__main__" if name == "__mp_main__" else name  # as multiprocessing's children call it


def _source_file(thing: Any, names: dict[str, Any]) -> str:
    file = names.get("__file__")
    if not isinstance(file, str) or not file.endswith((".py", ".pyw")):
        has_no_file(thing)
    return os.path.abspath(file)


def has_no_file(thing: Any) -> NoReturn:
    """Refuse what no digest can be made of."""
    _refuse(thing, "has no source file", "pass a version by hand, version='1'")


def _refuse(thing: Any, what: str, remedy: str) -> NoReturn:
    raise UnkeyableValue(f"version: {thing!r:.120} {what}: {remedy}")
