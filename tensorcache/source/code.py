"""The version of code: which modules build, and a digest of their normal form.

Rules of this room: nothing is imported that was not already, not even a parent package; a
description touches no file. The digest (`code-1`) is over the modules' names and normal forms
(`normal.py`), never over paths. What a module imports is not followed: name what counts.
"""

from __future__ import annotations

import functools
import os
import sys
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

from blake3 import blake3

from tensorcache.errors import SourceMissing, UnkeyableValue
from tensorcache.source.content import below, reading, update_framed
from tensorcache.source.memory import Memory, Stats, printable, stat_of, steady

_SCHEME = "code-1:blake3:"


class CodeVersion(NamedTuple):
    """The modules whose code is the version, as (name, file or directory).

    None in place of a file: found by its name, when the version is asked for.
    """

    modules: tuple[tuple[str, str | None], ...]


def code_version(*things: Any) -> CodeVersion:
    """The version of what these functions, classes and modules are written in.

    A function or class stands for the module that it is written in, a package for every module
    below it. A str names a module or package, which is found but not imported. Wrappers made by
    `functools` are looked through.

    Raises:
        UnkeyableValue: something has no source file (built in, compiled, typed at a prompt).
    """
    if not things:
        raise UnkeyableValue("version: code_version() of nothing: pass the builder, or its modules")
    return CodeVersion(tuple(module for thing in things for module in _modules(thing)))


def version_text(version: str | CodeVersion, memory: Memory) -> str:
    """The version as it stands in the key: `hand:3`, or `code-1:blake3:…`.

    Raises:
        UnkeyableValue: no version at all, or code that cannot be parsed.
        SourceMissing: a module that is not there.
    """
    if type(version) is CodeVersion:
        return _code_text(version, memory)
    if type(version) is not str:
        remedy = "code_version(it)" if callable(version) else "a str, as in version='3'"
        raise UnkeyableValue(f"version: {version!r:.80} is not a str: pass {remedy}")
    if not version.strip():
        raise UnkeyableValue(f"version: {version!r} is empty: pass version='1', or code_version(…)")
    return f"hand:{version}"


def _code_text(version: CodeVersion, memory: Memory) -> str:
    found = set()
    for name, path in version.modules:
        for module, file in _files(name, path):
            found.add((module, _module_text(module, file, memory)))
    hasher = blake3()
    for module, text in sorted(found):
        update_framed(hasher, module.encode("utf-8", "surrogatepass"))
        hasher.update(bytes.fromhex(text.removeprefix(_SCHEME)))
    return _SCHEME + hasher.hexdigest()


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
    thing = _unwrapped(thing)
    code = getattr(thing, "__code__", None)
    if code is not None:
        if code.co_filename.startswith("<"):  # typed, or made by exec: in no file
            _has_no_file(thing)
        return [(_name(thing.__globals__), _source_file(thing, thing.__globals__))]
    kind = thing if isinstance(thing, type) else type(thing)
    if not callable(thing):
        _refuse(thing, "is no code", "pass functions, classes, modules or their names")
    names = vars(sys.modules.get(kind.__module__, sys))
    return [(_name(names), _source_file(thing, names))]


def _unwrapped(thing: Any) -> Any:
    """The function inside partials, bound methods and what functools.wraps has made."""
    seen: list[Any] = []
    while not any(thing is one for one in seen):
        seen.append(thing)
        if isinstance(thing, functools.partial):
            thing = thing.func
        else:
            thing = getattr(thing, "__wrapped__", getattr(thing, "__func__", thing))
    return thing


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
        _has_no_file(thing)
    return os.path.abspath(file)


def _files(name: str, path: str | None) -> list[tuple[str, str]]:
    """The (module, file) pairs that a name stands for: one, or those of a whole package."""
    if path is not None and not os.path.isdir(path):
        return [(name, path)]
    file, directories = (None, [path]) if path is not None else _located(name, name)
    if not directories:
        if file is None or not file.endswith(".py"):
            _has_no_file(name)
        return [(name, file)]
    files = []
    for directory in directories:
        for file in below(directory):
            steps = os.path.relpath(file, directory).removesuffix(".py").split(os.sep)
            # No module lies below a dot: editors and notebooks keep copies there.
            if file.endswith(".py") and not any(step.startswith(".") for step in steps):
                steps = steps[:-1] if steps[-1] == "__init__" else steps
                files.append((".".join([name, *steps]), file))
    if not files:
        raise SourceMissing(f"version: the package {name!r} holds no .py file: name another")
    return files


def _located(name: str, asked: str) -> tuple[str | None, list[str]]:
    """The file of a module, or None, and the directories of a package; nothing is imported."""
    module = sys.modules.get(name)
    if module is not None:
        return getattr(module, "__file__", None), list(getattr(module, "__path__", ()))
    from importlib.machinery import PathFinder

    parent, _, last = name.rpartition(".")
    path = _located(parent, asked)[1] if parent else None
    # By its last name alone: finders of what lies below a package ask for no more, and a
    # namespace package would look up its parent among the imported modules.
    for finder in (PathFinder,) if parent else sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = find(last, path) if find is not None and (path or not parent) else None
        if spec is not None:
            origin = spec.origin if spec.has_location else None
            return origin, list(spec.submodule_search_locations or ())
    raise SourceMissing(
        f"version: no module {asked!r} is on sys.path (nothing is called {last!r}): check the name"
    )


def _module_text(name: str, path: str, memory: Memory) -> str:
    def look() -> Stats:
        return (stat_of(path),)

    def digest(stats: Stats) -> str:
        from tensorcache.source.normal import normal_form  # ast costs 10 ms, and a hit needs none

        if stats[0] is None:
            _has_no_file(f"{name} ({path})")
        with reading(path) as descriptor:
            source = os.pread(descriptor, stats[0][2] + 1, 0)
        try:
            form = normal_form(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None) or 1
            raise UnkeyableValue(
                f"version: {printable(path)}:{line}: not Python that this interpreter can parse "
                f"({getattr(error, 'msg', None) or type(error).__name__}): mend it or leave it out"
            ) from error
        return _SCHEME + blake3(form.encode("ascii")).hexdigest()

    text, _ = steady(memory, f"{printable(path)}#code-1", look, digest, (_SCHEME,))
    if text is None:
        raise UnkeyableValue(
            f"version: {printable(path)} is being written: try again when it is saved"
        )
    return text


def _has_no_file(thing: Any) -> NoReturn:
    _refuse(thing, "has no source file", "pass a version by hand, version='1'")


def _refuse(thing: Any, what: str, remedy: str) -> NoReturn:
    raise UnkeyableValue(f"version: {thing!r:.120} {what}: {remedy}")
