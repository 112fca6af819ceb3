"""Cover: the modules that a code version stands for, found by following imports.

Rules of this room: it starts from what was named and follows what is of the project (`modules.py`),
reading syntax trees (`normal.py`), never running a line. Every package on the way to a module
counts, for Python runs it first. Passed over are what cannot be found (an optional import; it is
looked for again when a directory that was searched changes), compiled modules, and whatever only a
running program knows: `import_module(name)`, `__path__` and `sys.path` changed by code.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

from blake3 import blake3

from tensorcache.errors import SourceMissing, UnkeyableValue
from tensorcache.manifest import Part
from tensorcache.source.code import CodeVersion, has_no_file, loaded_from
from tensorcache.source.content import reading
from tensorcache.source.memory import Stat, Stats, printable, settled, stat_of, steady
from tensorcache.source.modules import Modules, Place, root_of
from tensorcache.source.normal import Import, exports_of, form_of, imports_of, parse

_SCHEME = "module-1:blake3:"
_UNPARSED = "unparsed "  # before the bytes of a file; a normal form begins with "("
_PACKAGE = "package "  # before the name of a distribution: no module is called so


class Facts(NamedTuple):
    """What the code of one file comes to: the bytes of its normal form, and what it takes."""

    size: int
    imports: tuple[Import, ...]
    exports: tuple[str, ...]


class Cover:
    """What named modules and distributions cover.

    Args:
        version: the modules that were named, those beside them, and distributions.
        path: the directories that imports are looked for in.
        files: `steady`'s memory of files, by path; the files that lie still are added.
        facts: Facts by the text that `files` has of the code.

    Raises:
        UnkeyableValue: code that has no file, or is being written; a module that was named itself
            and cannot be parsed; a distribution that is not installed.
        SourceMissing: a module that was named and is not there.
    """

    def __init__(
        self,
        version: CodeVersion,
        path: list[str],
        files: dict[str, Any],
        facts: dict[str, Facts],
    ) -> None:
        self._began_ns = time.time_ns()
        self._files = files
        self._facts = facts
        self._read: dict[str, tuple[str, Stat | None]] = {}
        given = (*version.modules, *version.beside)
        roots = [root_of(name, file) for name, file in given if file is not None]
        self._modules = Modules(list(dict.fromkeys([*path, *roots])))
        self._own: set[str] = set()  # the files of what was named itself, not as part of a package
        self.hooked = self._modules.hooked  # what finders said, by name
        self.loaded: dict[str, list[Any] | None] = {}  # what was imported, where that was asked
        self.modules: dict[tuple[str, str], str] = {}  # the text of each, by name and file
        found = [one for name, file in version.modules for one in self._start(name, file)]
        # After all that was named, which decides what is of the project.
        self._follow([*found, *(one for module in version.beside for one in self._beside(*module))])
        self.packages = {package: self._version_of(package) for package in version.depends_on}

    def parts(self) -> dict[str, tuple[Part, str]]:
        """What is covered, and where that is: modules by name, then packages.

        A module has the bytes and digest of its normal form, and its file; a second one under the
        same name is `name#2`. `package torch` has 0 bytes and its version, twice.
        """
        parts: dict[str, tuple[Part, str]] = {}
        for name, text, file in sorted(
            (name, text, at) for (name, at), text in self.modules.items()
        ):
            shown, count = printable(name), 1
            while shown in parts:
                count += 1
                shown = f"{printable(name)}#{count}"
            part = Part(self._facts[text].size, text.removeprefix(_SCHEME))
            parts[shown] = part, file
        for package, version in sorted(self.packages.items()):
            parts[_PACKAGE + package] = Part(0, version), version
        return parts

    def still(self) -> tuple[dict[str, Stat | None], dict[str, Any], dict[str, Facts], bool]:
        """What may be remembered: stats of what was looked at, files, facts; and if that is all."""
        seen = self._modules.seen
        settled_seen = {
            path: stat for path, stat in seen.items() if settled((stat,), self._began_ns)
        }
        files = {}
        for path, (text, stat) in self._read.items():
            known = self._files.get(path)
            if known is not None and stat is not None and known["stat"] == [list(stat)]:
                files[path] = {"stat": known["stat"], "identity": text}
        facts = {known["identity"]: self._facts[known["identity"]] for known in files.values()}
        whole = len(settled_seen) == len(seen) and len(files) == len(self._read)
        return settled_seen, files, facts, whole

    def _start(self, name: str, file: str | None) -> list[tuple[str, str]]:
        """The (module, file) pairs that a name stands for: one, or those of a whole package."""
        if file is None:
            place = self._named(name)
        elif os.path.isdir(file):
            place = Place(None, (file,))
        else:
            self._modules.name(name)
            self._own.add(file)
            return self._beside(name, file)
        if not place.directories and not place.is_source:
            has_no_file(name)
        self._modules.name(name)
        self._modules.put(name, place)
        files = [one for path in place.directories for one in self._modules.below(name, path)]
        if place.is_source and place.file is not None and not place.directories:
            files = [(name, place.file)]
            self._own.add(place.file)
        if not files:
            raise SourceMissing(f"version: the package {name!r} holds no .py file: name another")
        return [*self._on_the_way_to(name, itself=False), *files]

    def _beside(self, name: str, file: str) -> list[tuple[str, str]]:
        """A module in a file and the packages above it, if it is of the project."""
        if not self._modules.is_of_project(name, file):
            return []
        is_package = os.path.basename(file) == "__init__.py"
        self._modules.put(name, Place(file, (os.path.dirname(file),) if is_package else ()))
        return [*self._on_the_way_to(name, itself=False), (name, file)]

    def _named(self, name: str) -> Place:
        """Where a module lies that was named by a str."""
        place = None if name == "__main__" else self._modules.find(name)
        if place is None or place == Place(None, ()):
            loaded = self.loaded[name] = loaded_from(name)
            if loaded is not None:  # no path leads to it any more, but here it is
                return Place(loaded[0], tuple(loaded[1]))
        if place is not None:
            return place
        steps = name.split(".")
        above = [".".join(steps[: i + 1]) for i in range(len(steps))]
        missing = next(one for one in above if self._modules.find(one) is None)
        raise SourceMissing(
            f"version: no module {name!r} is on sys.path (nothing is called "
            f"{missing.rpartition('.')[2]!r}): check the name"
        )

    def _follow(self, found: list[tuple[str, str]]) -> None:
        while found:
            name, file = found.pop()
            if (name, file) not in self.modules:
                text = self._text_of(name, file)
                self.modules[name, file] = text
                for imported in self._facts[text].imports:
                    for target in self._targets(name, file, *imported):
                        found += self._on_the_way_to(target)

    def _targets(
        self, name: str, file: str, level: int, module: str, names: tuple[str, ...]
    ) -> Iterator[str]:
        """The names that one import may stand for, of modules as far as they are any."""
        base = module
        if level:
            steps = name.split(".")
            if os.path.basename(file) != "__init__.py":
                steps = steps[:-1]
            if level > len(steps):  # above the top: Python refuses it as well
                return
            steps = steps[: len(steps) - level + 1]
            base = ".".join([*steps, module] if module else steps)
        yield base
        for one in names:
            if one != "*":
                yield f"{base}.{one}"
                continue
            place = self._modules.find(base)
            if place is not None and self._is_ours(base, place):
                exports = self._facts[self._text_of(base, str(place.file))].exports
                yield from (f"{base}.{export}" for export in exports)

    def _is_ours(self, name: str, place: Place) -> bool:
        file = place.file
        return file is not None and place.is_source and self._modules.is_of_project(name, file)

    def _on_the_way_to(self, name: str, *, itself: bool = True) -> Iterator[tuple[str, str]]:
        """The packages above `name` and itself, as far as they are source of the project."""
        steps = name.split(".")
        for count in range(1, len(steps) + itself):
            above = ".".join(steps[:count])
            place = self._modules.find(above)
            if place is None:
                return
            if place.file is not None:
                if not self._modules.is_of_project(above, place.file):
                    return
                if place.is_source:
                    yield above, place.file

    def _text_of(self, name: str, path: str) -> str:
        """The digest of a file's normal form, with its scheme; what else it says is in `_facts`."""
        if path in self._read:
            return self._read[path][0]

        def look() -> Stats:
            return (stat_of(path),)

        def digest(stats: Stats) -> str:
            if stats[0] is None:
                has_no_file(f"{name} ({path})")
            with reading(path) as descriptor:
                source = os.pread(descriptor, stats[0][2] + 1, 0)
            try:
                tree = parse(source)
                form, takes = form_of(tree), (tuple(imports_of(tree)), tuple(exports_of(tree)))
            except (SyntaxError, ValueError) as error:
                if path in self._own:
                    _refuse_unparsed(path, error)
                # Python cannot import it either: of a newer one, or it lies there as data.
                form, takes = _UNPARSED + source.decode("latin-1"), ((), ())
            except (RecursionError, MemoryError) as error:  # with more room it may be importable
                _refuse_unparsed(path, error)
            text = _SCHEME + blake3(form.encode("latin-1")).hexdigest()
            self._facts[text] = Facts(len(form), *takes)
            return text

        text, stats = steady(self._files, path, look, digest, (_SCHEME,))
        if text is None:
            raise UnkeyableValue(
                f"version: {printable(path)} is being written: try again when it is saved"
            )
        self._read[path] = text, stats[0]
        return text

    def _version_of(self, package: str) -> str:
        version = self._modules.installed(package)
        if version is None:
            raise UnkeyableValue(
                f"version: depends_on: no package {package!r} is installed on sys.path: name it as "
                f"pip does, or leave it out"
            )
        return version


def _refuse_unparsed(path: str, error: Exception) -> NoReturn:
    where = f"{printable(path)}:{getattr(error, 'lineno', None) or 1}"
    what = getattr(error, "msg", None) or type(error).__name__
    raise UnkeyableValue(
        f"version: {where}: not Python that this interpreter can parse ({what}): mend it or leave "
        f"it out"
    ) from error
