"""Where modules and packages lie, as an import would find them, and which are the project's.

Rules of this room: nothing is imported, not even a parent, and nothing is remembered here: it
lists directories, and says of each directory and file that it looked at which stat it had, so that
whoever remembers the answer can tell when to ask again. It is slow enough to be no part of a hit.

Of the project is every source file that is neither the standard library's nor installed: not below
`site-packages` or `dist-packages`, and not in the RECORD of a distribution beside it (`pip install
--target`). An editable install is of the project. So is the top-level package of what was named,
wherever it lies; tensorcache itself never is, unless it is named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, BuiltinImporter, FrozenImporter, PathFinder
from typing import Any, NamedTuple

from tensorcache.source.code import found_by, hooked
from tensorcache.source.memory import Stat, stat_if_any

# As the import system tries them: a package before a module, compiled code before source.
_SUFFIXES = (*EXTENSION_SUFFIXES, ".py", ".pyc")
_VERSION = re.compile(r"^Version:\s*(\S+)", re.MULTILINE | re.IGNORECASE)
_INSTALLED = {"site-packages", "dist-packages"}
_STANDARD = os.path.dirname(os.path.abspath(os.__file__))
_OURS = __name__.partition(".")[0]
_MOVING: Stat = (-1, -1, -1, -1, -1)  # no stat is ever this one: not to be remembered
_TRIES = 3


class Place(NamedTuple):
    """What an import of a name would run (None: nothing that is a file), and what lies below it."""

    file: str | None
    directories: tuple[str, ...]

    @property
    def is_source(self) -> bool:
        """Whether it is a file of Python code."""
        return self.file is not None and self.file.endswith((".py", ".pyw"))


class Modules:
    """The modules that the directories of `path` hold.

    `seen`: what was looked at, as it was. `hooked`: what finders said of what none of them holds.
    """

    def __init__(self, path: Sequence[str]) -> None:
        self.seen: dict[str, Stat | None] = {}
        self.hooked: dict[str, list[Any] | None] = {}
        self._path = path
        self._named: set[str] = set()
        self._places: dict[str, Place | None] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._recorded: dict[str, frozenset[str]] = {}

    def name(self, name: str) -> None:
        """Say that a module was named, so that its top-level package is of the project."""
        self._named.add(name.partition(".")[0])

    def put(self, name: str, place: Place) -> None:
        """Say where a module or package was found, and what runs before it."""
        known = self._places.get(name)
        if known is not None:  # a package in several directories
            more = tuple(path for path in place.directories if path not in known.directories)
            place = Place(known.file or place.file, known.directories + more)
        self._places[name] = place
        # A namespace package may go on elsewhere, so it is looked for like any other.
        if len(place.directories) == 1 or place.is_source:
            self._put_parents(name, place.file or os.path.join(place.directories[0], "__init__.py"))

    def _put_parents(self, name: str, file: str) -> None:
        directory = os.path.dirname(file)
        if os.path.basename(file) == "__init__.py":
            directory = os.path.dirname(directory)
        parent = name.rpartition(".")[0]
        while parent and os.path.basename(directory) == parent.rpartition(".")[2]:
            init = os.path.join(directory, "__init__.py")
            if "__init__.py" in self.names(directory) and self._is_file(init):
                self._places.setdefault(parent, Place(init, (directory,)))
            directory, parent = os.path.dirname(directory), parent.rpartition(".")[0]

    def find(self, name: str) -> Place | None:
        """Where `name` lies; None if nowhere."""
        if name not in self._places:
            self._places[name] = self._look_for(name)
        return self._places[name]

    def _look_for(self, name: str) -> Place | None:
        parent, _, last = name.rpartition(".")
        directories = self._path
        if parent:
            above = self.find(parent)
            directories = above.directories if above else ()
        elif BuiltinImporter.find_spec(name) or FrozenImporter.find_spec(name):
            return Place(None, ())  # found before any path is looked at
        portions = []
        for directory in directories:
            names, path = self.names(directory), os.path.join(directory, last)
            inside = self.names(path) if last in names else frozenset()
            for stem, found, below in ((f"{path}/__init__", inside, (path,)), (path, names, ())):
                for suffix in _SUFFIXES:
                    if os.path.basename(stem) + suffix in found and self._is_file(stem + suffix):
                        return Place(stem + suffix, below)
            if last in names and os.path.isdir(path):
                portions.append(path)
        if portions:
            return Place(None, tuple(portions))
        if parent:
            return None
        self.hooked[name] = hooked(name)
        answer = self.hooked[name] or found_by(PathFinder, name)  # which opens archives
        return None if answer is None else Place(answer[0], tuple(answer[1]))

    def below(
        self, name: str, directory: str, trail: tuple[str, ...] = ()
    ) -> Iterator[tuple[str, str]]:
        """The name and file of every module in a package's directory and further down."""
        here = os.path.realpath(directory)
        if here in trail:  # a link back up
            return
        for entry in sorted(self.names(directory)):
            path = os.path.join(directory, entry)
            # No module lies below a dot: editors and notebooks keep copies there.
            if entry.startswith(".") or entry == "__pycache__":
                continue
            if not entry.endswith(".py") or not self._is_file(path):
                self._look_through(path)
                if os.path.isdir(path):
                    yield from self.below(f"{name}.{entry}", path, (*trail, here))
            else:
                yield name if entry == "__init__.py" else f"{name}.{entry[:-3]}", path

    def _is_file(self, path: str) -> bool:
        self._look_through(path)
        return os.path.isfile(path)

    def _look_through(self, path: str) -> None:
        """A link counts as seen: its directory stays as it is when what it leads to does not."""
        if os.path.islink(path):
            self.seen.setdefault(path, stat_if_any(path))

    def is_of_project(self, name: str, file: str) -> bool:
        """Whether the code of module `name` in `file` is the project's; see above."""
        top = name.partition(".")[0]
        if top in self._named or top == _OURS:
            return top in self._named
        if file.startswith(_STANDARD + os.sep) or _INSTALLED & set(file.split(os.sep)):
            return False
        directory = os.path.dirname(file)
        for _ in range(name.count(".") + (os.path.basename(file).partition(".")[0] == "__init__")):
            directory = os.path.dirname(directory)
        return os.path.relpath(file, directory).split(os.sep)[0] not in self._records(directory)

    def _records(self, directory: str) -> frozenset[str]:
        """The first steps of what distributions say they have installed into `directory`."""
        if directory not in self._recorded:
            firsts: set[str] = set()
            for entry in self.names(directory):
                if entry.endswith(".dist-info"):
                    lines = self.text_of(os.path.join(directory, entry, "RECORD")).splitlines()
                    firsts |= {re.split("[/,]", line, maxsplit=1)[0] for line in lines}
            self._recorded[directory] = frozenset(firsts)
        return self._recorded[directory]

    def installed(self, package: str) -> str | None:
        """The version of an installed distribution, by its metadata; None if there is none."""
        for directory in self._path:
            for entry in sorted(self.names(directory)):
                stem, kind = os.path.splitext(entry)
                ours = _plain(stem.partition("-")[0]) == _plain(package)
                if ours and kind in (".dist-info", ".egg-info"):
                    path = os.path.join(directory, entry)
                    for file in (f"{path}/METADATA", f"{path}/PKG-INFO", path):
                        found = _VERSION.search(self.text_of(file))
                        if found:
                            return found[1]
        return None

    def text_of(self, path: str) -> str:
        """A small file, which counts as seen; "" if it cannot be read."""
        before = stat_if_any(path)
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            text = ""
        self.seen[path] = before if stat_if_any(path) == before else _MOVING
        return text

    def names(self, directory: str) -> frozenset[str]:
        """What lies in a directory; nothing, if it is none that can be read."""
        if directory not in self._names:
            for _ in range(_TRIES):
                before = stat_if_any(directory)
                try:
                    names = os.listdir(directory) if before else []
                except OSError:
                    names = []
                self._names[directory] = frozenset(names)
                unmoved = stat_if_any(directory) == before
                self.seen[directory] = before if unmoved else _MOVING
                if unmoved:
                    break
        return self._names[directory]


def root_of(name: str, path: str) -> str:
    """The directory from which an import of `name` would find the file or package at `path`."""
    base = path.removesuffix(".py")
    if os.path.basename(base) == "__init__":
        base = os.path.dirname(base)
    for step in reversed(name.split(".")):
        if os.path.basename(base) != step:
            return os.path.dirname(path)
        base = os.path.dirname(base)
    return base


def _plain(name: str) -> str:
    """The name of a distribution as packagers compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
