"""The house: which room may import which, who owns each outside library, and how large rooms grow.

Read from the syntax trees of the files that are there, so nothing is imported and nothing is
skipped. The tables come first; a change of the house is a change of a table.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).parents[1]

# Imports point down only. A room is a module of tensorcache/, or a package of the same name.
FLOORS = [
    {"__main__", "cli"},
    {"__init__"},
    {"cache"},
    {"entry", "explain", "plan", "vacuum", "stale", "doctor"},
    {"retention"},
    {"column", "rows"},
    {"shard", "index", "disk", "source"},
    {"tree", "schema", "manifest", "audit", "stats"},
    {"key", "errors", "progress", "worth", "limits"},
]
SAME_FLOOR = {("__main__", "cli"), ("manifest", "tree"), ("index", "schema"), ("key", "errors"),
              ("entry", "explain")}  # fmt: skip

# Who may import an outside library; one that is not named here, nobody may.
OWNERS = {
    "msgpack": {"tree"},
    "torch": {"column"},
    "numpy": {"tree", "column", "source"},
    "xxhash": {"column", "source"},
    "blake3": {"manifest", "shard", "column", "disk", "source"},
    "sqlalchemy": {"schema", "index", "migrations", "source"},
    "alembic": {"index", "migrations"},
    "sqlite3": {"index", "source"},
    "duckdb": {"source"},
    "pandas": {"cache"},
    "typer": {"cli"},
    "rich": {"cli", "progress"},
    "pyarrow": {"cli"},  # an extra: what `sql --parquet` writes with
    "matplotlib": {"cli"},  # an extra: what `stats --plot` draws with
    "yaml": {"cli"},  # people ask by the file that they have; never needed
}
# A hit needs none of these: imported where they are needed, with the reason on the line, and at
# the top of a file only by one another.
HEAVY_ROOMS = {"schema", "index", "rows", "retention", "explain", "plan", "vacuum", "stale"}
HEAVY_LIBRARIES = set("sqlalchemy alembic sqlite3 pandas typer rich duckdb yaml".split())
MAY_BE_HEAVY = HEAVY_ROOMS | {"cli", "migrations"}

UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = set("eval exec torch.load torch.save yaml.unsafe_load np.load numpy.load".split())
UNSAFE_CALLS |= {"pd.read_pickle", "pandas.read_pickle"}
WORDS_OF_THE_CONSUMER = set(
    "team teams season seasons nba league player players roster playoff playoffs conference "
    "listmle".split()
)
WORDS_NOT_USED = set("store manager handler helper utils artifact blob record chunk".split())

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
LIBRARY_LINES, FILE_LINES, FUNCTION_LINES = 13100, 400, 50  # the first in lines of code


class Import(NamedTuple):
    """One imported module: from which file and line, inside a function, for typing only."""

    file: Path
    line: int
    module: str
    name: str | None
    lazy: bool
    typing: bool

    @property
    def room(self) -> str | None:
        """The room of tensorcache that is imported, or None."""
        first, _, rest = self.module.partition(".")
        if first != "tensorcache":
            return None
        if not rest:
            return self.name if self.name in rooms() else "__init__"
        return rest.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file.relative_to(REPO)}:{self.line} imports {self.module} {self.name or ''}"


def python_files(*folders):
    return [path for folder in folders for path in sorted((REPO / folder).rglob("*.py"))]


@functools.cache
def tree_of(path):
    return ast.parse(path.read_text("utf-8"), str(path))


def room_of(path):
    parts = path.relative_to(REPO).parts
    return parts[1].removesuffix(".py") if parts[0] == "tensorcache" else parts[0]


def rooms():
    return {room_of(path) for path in python_files("tensorcache")}


def imports_of(path) -> Iterator[Import]:
    def walk(node, lazy, typing):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(path, child.lineno, alias.name, None, lazy, typing)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: import by full name"
                for alias in child.names:
                    yield Import(path, child.lineno, child.module, alias.name, lazy, typing)
            else:
                is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
                is_typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
                yield from walk(child, lazy or is_function, typing or is_typing)

    return walk(tree_of(path), lazy=False, typing=False)


def library_imports():
    return [found for path in python_files("tensorcache") for found in imports_of(path)]


def floor(room):
    """How far below the top; what has no floor is no part of the house, and above all of it."""
    return next((i for i, names in enumerate(FLOORS) if room in names), -1)


def lines_of(function):
    """Lines of a function, its docstring not counted."""
    first = function.body[0]
    docstring = first.end_lineno - first.lineno + 1 if ast.get_docstring(function) else 0
    return function.end_lineno - function.lineno + 1 - docstring


def test_every_room_has_its_floor():
    assert [room for room in sorted(rooms()) if floor(room) < 0] == []


def test_imports_point_down_only():
    upward = [
        str(found)
        for found in library_imports()
        if found.room
        and found.room != (room := room_of(found.file))
        and (room, found.room) not in SAME_FLOOR
        and floor(found.room) <= floor(room)
    ]

    assert upward == []


def test_each_outside_library_has_its_owners():
    outside = [
        found
        for path in python_files("tensorcache", "migrations")
        for found in imports_of(path)
        if not found.typing
        and (top := found.module.partition(".")[0]) != "tensorcache"
        and (top not in sys.stdlib_module_names or top in OWNERS)
    ]

    assert [
        str(found)
        for found in outside
        if room_of(found.file) not in OWNERS.get(found.module.partition(".")[0], ())
    ] == []


def test_heavy_rooms_are_imported_where_they_are_needed():
    """A file inside a room may be heavy if it is itself imported only where it is needed."""
    eager = [found for found in library_imports() if not (found.lazy or found.typing)]
    at_once = {name for found in eager for name in (found.module, f"{found.module}.{found.name}")}

    assert [
        str(found)
        for found in eager
        if (found.room in HEAVY_ROOMS or found.module.partition(".")[0] in HEAVY_LIBRARIES)
        and room_of(found.file) not in MAY_BE_HEAVY
        and (is_door(found.file) or module_of(found.file) in at_once)
    ] == []


def module_of(path):
    return ".".join(path.relative_to(REPO).with_suffix("").parts)


def is_door(path):
    """Whether this is what an import of the room runs."""
    return len(path.relative_to(REPO).parts) == 2 or path.stem == "__init__"


def test_a_lazy_import_says_why_on_its_line():
    heavy = [
        found
        for found in library_imports()
        if found.lazy and (found.room or found.module.partition(".")[0] in HEAVY_LIBRARIES)
    ]

    assert [str(found) for found in heavy if not is_explained(found)] == []


def is_explained(found):
    """Whether a comment stands on its line, or on one of the imports right above it."""
    lines = found.file.read_text("utf-8").splitlines()
    for line in reversed(lines[: found.line]):
        if re.search(r"# (?!noqa)", line):
            return True
        if not re.match(r"\s+(from|import) ", line):
            return False
    return False


def test_the_library_knows_nothing_of_its_consumer():
    """Names and texts, docstrings and comments apart: those may give examples."""
    assert [
        f"{path.relative_to(REPO)}:{line} says {word!r}"
        for path in python_files("tensorcache")
        for word, line in words_in_code(path)
        if word in WORDS_OF_THE_CONSUMER
    ] == []


def words_in_code(path):
    tree = tree_of(path)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None
    }
    for node in ast.walk(tree):
        texts = [getattr(node, field, None) for field in ("id", "attr", "name", "arg", "module")]
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            texts.append(node.value)
        for text in texts:
            if isinstance(text, str):
                for word in words(text):
                    yield word, getattr(node, "lineno", 0)


def words(text):
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text)]


def test_the_words_of_the_glossary_have_no_synonyms():
    """Nouns: what modules and classes are called."""
    nouns = [
        (path, name)
        for path in python_files("tensorcache")
        for name in (path.stem, *(cls.name for cls in nodes(path, ast.ClassDef)))
    ]

    assert [
        f"{path.relative_to(REPO)}: {name}"
        for path, name in nouns
        if WORDS_NOT_USED & {word.removesuffix("s") for word in words(name)}
    ] == []


def nodes(path, *kinds):
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, kinds))


def test_scripts_touch_only_public_names():
    public = {
        name
        for node in tree_of(REPO / "tensorcache" / "__init__.py").body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for name in ast.literal_eval(node.value)
    }
    files = python_files("scripts")
    imported = [
        str(found)
        for path in files
        for found in imports_of(path)
        if found.room and (found.module != "tensorcache" or found.name not in public | {None})
    ]
    reached = [
        f"{path.relative_to(REPO)}:{node.lineno} {ast.unparse(node)}"
        for path in files
        for node in nodes(path, ast.Attribute)
        if ast.unparse(node.value) == "tensorcache" and node.attr not in public
    ]

    assert imported + reached == []


def test_nothing_is_pickled_or_evaluated():
    files = python_files("tensorcache", "scripts", "migrations")
    imported = [
        str(found)
        for path in files
        for found in imports_of(path)
        if found.module.partition(".")[0] in UNSAFE_MODULES
    ]
    called = [
        f"{path.relative_to(REPO)}:{node.lineno} calls {name}"
        for path in files
        for node in nodes(path, ast.Call)
        if (name := ast.unparse(node.func)) in UNSAFE_CALLS or name.endswith(".to_pickle")
    ]

    assert imported + called == []


def code_lines(path):
    """Lines that say what to do: neither blank, nor comment, nor docstring."""
    docstrings = {
        line
        for node in ast.walk(tree_of(path))
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None
        for line in range(node.body[0].lineno, node.body[0].end_lineno + 1)
    }
    said = (tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING)
    with path.open("rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.type in said]
    code = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    return len(code - docstrings)


def test_the_library_stays_small():
    assert sum(map(code_lines, python_files("tensorcache"))) <= LIBRARY_LINES


def test_no_file_outgrows_its_word():
    everything = python_files("tensorcache", "scripts", "migrations", "tests", "benchmarks")
    sizes = {str(path.relative_to(REPO)): len(path.read_text().splitlines()) for path in everything}

    assert {name: size for name, size in sizes.items() if size > FILE_LINES} == {}


def test_no_function_outgrows_its_word():
    everything = python_files("tensorcache", "scripts", "migrations", "tests", "benchmarks")
    long = [
        f"{path.relative_to(REPO)}:{function.lineno} {function.name}: {lines_of(function)} lines"
        for path in everything
        for function in nodes(path, ast.FunctionDef, ast.AsyncFunctionDef)
        if lines_of(function) > FUNCTION_LINES
    ]

    assert long == []


def test_every_file_states_its_rules():
    silent = [
        str(path.relative_to(REPO))
        for path in python_files("tensorcache", "scripts", "migrations")
        if path.stat().st_size and ast.get_docstring(tree_of(path)) is None
    ]

    assert silent == []


def test_public_names_are_documented():
    assert [
        f"{path.relative_to(REPO)}:{node.lineno} {node.name}"
        for path in python_files("tensorcache")
        for node in public_definitions(tree_of(path))
        if ast.get_docstring(node) is None
    ] == []


def public_definitions(node):
    """Public classes and functions, and the public methods of public classes."""
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef) and not child.name.startswith("_"):
            overloaded = any("overload" in ast.unparse(mark) for mark in child.decorator_list)
            if not overloaded:
                yield child
            if isinstance(child, ast.ClassDef):
                yield from public_definitions(child)


def test_no_file_names_a_place_of_one_machine():
    place = re.compile(rb"(?<![\w.>)}\]])/(work|root)(?![\w-])")

    assert [str(path) for path in own_files() if place.search(path.read_bytes())] == []


def own_files():
    """What a clone holds: neither what commands made, nor the data that they read."""
    made = {".git", ".venv", ".hypothesis", "__pycache__", "build", "dist"}
    for folder, folders, names in os.walk(REPO):
        top = Path(folder)
        skipped = made | {"data", "outputs"} if top == REPO else made
        folders[:] = sorted({name for name in folders if not name.endswith("_cache")} - skipped)
        yield from (top / name for name in names)
