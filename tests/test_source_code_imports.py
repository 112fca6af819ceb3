"""Which modules a code version covers: imports followed within the project, and nothing run."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import zipfile

import pytest
from processes import REPO

from tensorcache.errors import UnkeyableValue
from tensorcache.source import code_version, version_of

NEVER = "raise SystemExit('imported')\n"


def write(folder, **files):
    """Files by name, `__` for a slash and `_init` for `__init__`; none may be imported."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/").replace("_init", "__init__") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(NEVER + text)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty directory at the front of sys.path."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def covered(*things, **options):
    """The names of what is covered, which is the same in the parts and in `covers()`."""
    version = code_version(*things, **options)
    parts = version_of(version, {}).parts
    assert sorted(version.covers()) == sorted(parts)
    return " ".join(sorted(parts))


FORMS = {  # what build.py of package a says -> what is covered beside a and a.build
    "import a.b": "a.b",
    "import a.b as c": "a.b",
    "import a.p.deep": "a.p a.p.deep",
    "from a import b": "a.b",
    "from a import b as c, nothing": "a.b",
    "from . import b": "a.b",
    "from . import p": "a.p",
    "from .b import x": "a.b",
    "from .p.deep import x": "a.p a.p.deep",
    "from .. import top": "",  # above the top: Python refuses it as well
    "from a.p import *": "a.p a.p.starred",
    "from a.b import *": "a.b",
    "import top": "top",
    "from top import x": "top",
    "import a.missing": "",
    "try:\n    import missing\nexcept ImportError:\n    import top": "top",
    "def f():\n    with g():\n        import top": "top",
    "class C:\n    async def f(self):\n        for x in y: from . import b": "a.b",
    "match x:\n    case 1:\n        import top": "top",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import top": "",
    "import typing as t\nif t.TYPE_CHECKING:\n    import top\nelse:\n    import a.b": "a.b",
    "if not TYPE_CHECKING:\n    import top": "top",
    "import json, os.path, numpy.linalg, torch": "",
    "import space.inner.deep": "space.inner.deep",
    "from space import inner": "",
    "from space.inner import deep": "space.inner.deep",
    "import twice": "twice",
    "import twice.inside": "twice twice.inside",
    "import tensorcache": "",
    "import cycle": "cycle cycle_back",
    "name = 'top'\n__import__(name)": "",
    "__import__('top').x": "top",
    "import importlib as i\nx = [i.import_module('a.p.deep')]": "a.p a.p.deep",
    "from importlib import import_module\nimport_module(name='.p.deep', package=x)": "a.p a.p.deep",
    "import_module('a..b'), import_module(''), import_module(5), import_module()": "",
    "import a\ndef f(x=3): return [x, a.p.deep.f(x).b]": "a.p a.p.deep",
    "import a.b\na.p": "a.b a.p",
    "import a.p as q\nf'{q.deep.x!r:{q.y}}'": "a.p a.p.deep",
    "def f(): from . import p as q\nwith q.deep.x: pass": "a.p a.p.deep",
    "from space import inner\n@inner.deep.x\nclass C: pass": "space.inner.deep",
    "import top\ntop.a.b, other.a.b, f().a.b": "top",
    "if TYPE_CHECKING:\n    import a.p\nx: a.p.deep.T": "",
    "from a.tried import *": "a.tried a.tried.deep",
}


@pytest.mark.parametrize("code", FORMS)
def test_imports_are_followed_in_every_form(root, code):
    write(
        root,
        a___init="",
        a__build=code,
        a__b="x = 1",
        a__p___init="__all__ = ['starred']\n__all__ += ['nothing']",
        a__p__deep="x = 1",
        a__p__starred="x = 1",
        a__tried___init="try:\n    x\nexcept NameError:\n    if 1: __all__ = ['deep']",
        a__tried__deep="x = 1",
        a__p__unnamed="x = 1",
        top="x = 1",
        space__inner__deep="a namespace package has no __init__ = 1".replace(" ", "_")[:1] + " = 1",
        twice___init="the package is what Python takes".replace(" ", "_") + " = 1",
        twice__inside="x = 1",
        twice="not a line of this is read (",
        cycle="import cycle_back",
        cycle_back="import cycle",
    )
    before = set(sys.modules)

    assert covered("a.build").split() == sorted(["a", "a.build", *FORMS[code].split()])
    assert not {"a", "top", "space", "twice", "cycle"} & (set(sys.modules) - before)


def test_parents_run_first_and_what_they_import_counts(root):
    write(root, a___init="from a.setup import x", a__setup="x = 1", a__p__build="y = 1")

    assert covered("a.p.build") == "a a.p.build a.setup"


def test_a_module_of_the_directory_without_package_wins(root):
    write(root, both="x = 1", both__inner="x = 1", build="import both.inner")

    assert covered("build") == "both build"  # as Python has it: `both` is no package


def test_any_root_that_is_not_installed_is_of_the_project(root, tmp_path, monkeypatch):
    """A helper in another root counts; what is installed does not, wherever pip was told to."""
    write(root, build="import helper, conftest_x, installed, target, single, beside")
    write(tmp_path / "other", helper="x = 1", conftest_x="x = 1")
    write(tmp_path / "lib" / "site-packages", installed="x = 1")
    write(tmp_path / "flat", target___init="", single="x = 1", beside="x = 1")
    record = tmp_path / "flat" / "some-1.0.dist-info" / "RECORD"
    record.parent.mkdir()
    record.write_text("target/__init__.py,sha256=0,0\nsingle.py,,\n")
    for folder in ("other", "lib/site-packages", "flat"):
        monkeypatch.syspath_prepend(str(tmp_path / folder))

    assert covered("build") == "beside build conftest_x helper"


def test_the_package_that_is_named_counts_wherever_it_lies(tmp_path, monkeypatch):
    write(tmp_path / "site-packages", mine__build="import mine.lists, others", mine__lists="x = 1")
    write(tmp_path / "site-packages", others="x = 1")
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))

    assert covered("mine.build") == "mine.build mine.lists"
    assert covered("json.decoder") == "json json.decoder json.encoder json.scanner"


def test_an_editable_install_by_a_finder_is_of_the_project(root, tmp_path, monkeypatch):
    write(root, build="import edited.lists")
    write(tmp_path / "src", edited___init="", edited__lists="x = 1")
    place = str(tmp_path / "src" / "edited" / "__init__.py")

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "edited":
                return importlib.util.spec_from_file_location(name, place)
            return None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])

    assert covered("build") == "build edited edited.lists"


def test_code_in_an_archive_is_refused(root, tmp_path, monkeypatch):
    write(root, build="import zipped")
    archive = tmp_path / "lib.zip"
    with zipfile.ZipFile(archive, "w") as zip_file:
        zip_file.writestr("zipped.py", "x = 1")
    monkeypatch.syspath_prepend(str(archive))

    for name in ("zipped", "build"):
        with pytest.raises(UnkeyableValue, match=r"zipped.* has no source file: pass a version by"):
            version_of(code_version(name), {})


def test_compiled_code_is_passed_over_when_it_is_imported(root):
    write(root, build="import fast, sourceless")
    (root / "fast.abi3.so").write_bytes(b"\x7fELF")
    (root / "sourceless.pyc").write_bytes(b"")

    assert covered("build") == "build"
    with pytest.raises(UnkeyableValue, match="'fast' has no source file"):
        covered("fast")


def test_a_link_to_the_project_is_the_same_project(root, tmp_path, monkeypatch):
    write(root, a___init="", a__build="from . import b", a__b="x = 1")
    (root / "a" / "loop").symlink_to(root / "a")
    (tmp_path / "link").symlink_to(root)
    at_home = version_of(code_version("a.build"), {})
    whole = covered("a")

    monkeypatch.setattr(sys, "path", [str(tmp_path / "link"), *sys.path[1:]])

    assert version_of(code_version("a.build"), {}) == at_home
    assert covered("a") == whole == "a a.b a.build"


def test_two_files_of_one_name_both_count(tmp_path, monkeypatch):
    modules = []
    for n in (1, 2):
        folder = tmp_path / str(n)
        folder.mkdir()
        (folder / "alike.py").write_text(f"import beside_{n}\ndef build(): return {n}")
        (folder / f"beside_{n}.py").write_text("")
    for n in (1, 2):
        monkeypatch.syspath_prepend(str(tmp_path / str(n)))
        sys.path_importer_cache.clear()
        modules.append(importlib.import_module("alike"))
        monkeypatch.delitem(sys.modules, "alike")
        monkeypatch.delitem(sys.modules, f"beside_{n}")

    assert covered(*modules) == "alike alike#2 beside_1 beside_2"
    assert covered(modules[0].build) == "alike beside_1"


def test_siblings_are_found_beside_the_builder_when_no_path_leads_there(root, monkeypatch):
    (root / "alone.py").write_text("import beside\ndef build(): return 1")
    (root / "beside.py").write_text("x = 1")
    alone = importlib.import_module("alone")
    monkeypatch.delitem(sys.modules, "alone")
    monkeypatch.delitem(sys.modules, "beside")
    monkeypatch.setattr(sys, "path", sys.path[1:])

    assert covered(alone.build) == "alone beside"


def test_code_that_does_not_parse_counts_where_it_is_imported(root):
    """A newer Python's, behind an `if`: what it would import is not known."""
    write(root, build="import sys\nif sys.version_info >= (3, 99): import newer")
    write(root, newer="import other\ndef f(:", other="x = 1")
    first = version_of(code_version("build"), {})
    write(root, newer="import other\ndef f(::")

    assert covered("build") == "build newer"
    assert version_of(code_version("build"), {}).text != first.text


def test_a_finder_that_blocks_a_module_leaves_it_not_found(root, monkeypatch):
    write(root, build="try: import blocked_x\nexcept ImportError: pass\nimport other", other="")

    class Blocker:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "blocked_x":
                raise ImportError("blocked")

    monkeypatch.setattr(sys, "meta_path", [Blocker, *sys.meta_path])

    assert covered("build") == "build other"


def test_versions_of_packages_count_when_they_are_named(root, tmp_path, monkeypatch):
    write(root, build="import anything")
    library = tmp_path / "site-packages"
    monkeypatch.syspath_prepend(str(library))

    def install(folder, version, name="METADATA"):
        (library / folder).mkdir(parents=True)
        (library / folder / name).write_text(f"Metadata-Version: 2.1\nVersion: {version}\n\nx")

    install("Some_Pkg-1.0+cpu.dist-info", "1.0+cpu")
    install("older.egg-info", "3", "PKG-INFO")
    asked = code_version("build", depends_on=["some.pkg", "older"])

    assert asked.covers()["package some.pkg"] == "1.0+cpu"
    assert version_of(asked, {}).parts["package older"] == (0, "3")
    assert "package torch" in code_version("build", depends_on=("torch",)).covers()
    with pytest.raises(UnkeyableValue, match=r"no package 'nowhere' is installed .* as pip does"):
        version_of(code_version("build", depends_on=["nowhere"]), {})
    with pytest.raises(UnkeyableValue, match=r"'torch' is no list of packages"):
        code_version("build", depends_on="torch")


def test_nothing_is_imported_and_a_hit_parses_nothing(root):
    """In a process of its own: thirty modules, found and remembered, then asked for again."""
    write(root, **{f"m{n}": f"import m{n + 1}\nx = {n}" for n in range(29)}, m29="import torch")
    for path in [root, *root.iterdir()]:
        os.utime(path, (1e9, 1e9))
    script = """
import json, os, sys, time
sys.path.insert(0, sys.argv[1])
import tensorcache.source as source
time.sleep(2.1)  # who has just written may write again within the tick of the clock
class Memory(dict):
    def __setitem__(self, name, known):
        super().__setitem__(name, json.dumps(known))
    def get(self, name):
        return json.loads(self[name]) if name in self else None
memory = Memory()
version = source.code_version("m0", depends_on=["torch"])
def ask():
    before = set(sys.modules)
    answer = source.version_of(version, memory)
    return answer, sorted(set(sys.modules) - before)
first, imported = ask()
assert not [name for name in imported if name[0] == "m" and name[1:].isdigit()], imported
assert "torch" not in sys.modules and "importlib.metadata" not in sys.modules
for name in ("ast", "tensorcache.source.cover", "tensorcache.source.modules"):
    del sys.modules[name]
again, imported = ask()
assert again == first
print(json.dumps([len(first.parts), imported]))
"""
    ran = subprocess.run(
        [sys.executable, "-c", script, str(root)],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.stderr == ""
    assert json.loads(ran.stdout) == [31, []]
