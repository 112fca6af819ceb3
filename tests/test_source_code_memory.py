"""What is remembered of a code version, and what makes it forget."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
import time
import types

import processes
import pytest

from tensorcache import cli
from tensorcache.errors import UnkeyableValue
from tensorcache.source import code_version, cover, version_of

REPO = str(processes.REPO)
SCHEME = "code-2:blake3:"


class Memory(dict):
    """As the one on disk: what comes back has been through JSON."""

    def __setitem__(self, name, known):
        super().__setitem__(name, json.dumps(known))

    def get(self, name):
        return json.loads(self[name]) if name in self else None


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A package of three modules that lay still for two seconds, at the front of sys.path."""
    folder = tmp_path / "project"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "build.py").write_text("from a import b\nimport optional_x, json\n")
    (folder / "a" / "b.py").write_text("import c_x\n")
    (folder / "c_x.py").write_text("X = 1\n")
    # Other tests write beside the modules of the clone; what is installed may lie in it.
    still = [p for p in sys.path if not p.startswith(REPO) or "site-packages" in p]
    monkeypatch.setattr(sys, "path", [str(folder), *still])
    time.sleep(2.1)
    return folder


@pytest.fixture
def parsed(monkeypatch):
    """How many files were parsed."""
    parsed = []

    def parse(source):
        parsed.append(source)
        return real(source)

    real = cover.parse
    monkeypatch.setattr(cover, "parse", parse)
    return parsed


def ask(memory):
    return version_of(code_version("a.build"), memory)


def test_an_unchanged_set_is_read_once_and_a_changed_module_alone_again(project, parsed):
    memory = Memory()
    first = ask(memory)
    assert list(first.parts) == ["a.b", "a.build", "c_x"]
    assert len(parsed) == 3

    assert ask(memory) == first
    assert len(parsed) == 3
    (project / "c_x.py").write_text("X = 2\n")
    changed = ask(memory)
    assert len(parsed) == 4
    assert changed.text != first.text
    assert [n for n in first.parts if first.parts[n] != changed.parts[n]] == ["c_x"]
    (project / "c_x.py").write_text("X = 1\n")  # younger than two seconds: not remembered
    assert ask(memory) == ask(memory) == first
    assert len(parsed) == 6


def test_what_an_import_would_find_now_is_noticed(project):
    memory = Memory()
    first = ask(memory)

    (project / "optional_x.py").write_text("")
    assert "optional_x" in ask(memory).parts
    (project / "optional_x.py").unlink()
    assert ask(memory) == first
    (project / "a" / "__init__.py").write_text("")
    assert "a" in ask(memory).parts
    (project / "json").mkdir()
    (project / "json" / "__init__.py").write_text("")  # shadows the standard library's
    assert "json" in ask(memory).parts
    (project / "c_x").mkdir()
    (project / "c_x" / "__init__.py").write_text("X = 2")
    assert ask(memory).parts["c_x"] != first.parts["c_x"]


def test_a_module_that_no_path_leads_to_is_remembered_for_its_file_alone(project, monkeypatch):
    memory, version, answers = Memory(), code_version("lost_x"), []
    for n in (1, 2):
        lost = project.parent / f"lost_{n}" / "lost_x.py"
        lost.parent.mkdir()
        lost.write_text(f"X = {n}")
    time.sleep(2.1)
    for n in (1, 2, 1):
        lost = types.ModuleType("lost_x")
        lost.__file__ = str(project.parent / f"lost_{n}" / "lost_x.py")
        monkeypatch.setitem(sys.modules, "lost_x", lost)
        answers.append(version_of(version, memory).text)

    assert answers[0] == answers[2] != answers[1]


def test_who_imports_a_module_meanwhile_parses_nothing_again(project, parsed, monkeypatch):
    """As whoever builds does between the key and the publication."""
    memory = Memory()
    first = ask(memory)
    imported = types.ModuleType("a.build")
    imported.__file__ = str(project / "a" / "build.py")
    monkeypatch.setitem(sys.modules, "a.build", imported)

    assert ask(memory) == first
    assert len(parsed) == 3
    assert len(memory) == 1


def test_what_a_finder_said_is_asked_again(project, parsed, monkeypatch):
    memory, places = Memory(), {}
    for n in (1, 2):
        place = project.parent / f"edited_{n}.py"
        place.write_text(f"X = {n}")
        places[n] = importlib.util.spec_from_file_location("optional_x", place)
    time.sleep(2.1)
    first = ask(memory)

    class Finder:
        where: int | None = None

        @classmethod
        def find_spec(cls, name, path=None, target=None):
            if name == "optional_x" and cls.where is None:
                raise ImportError("blocked")
            return places[cls.where] if name == "optional_x" else None

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    answers = []
    for where in (1, 2, None, 1):
        Finder.where = where
        answers.append(ask(memory))
        count = len(parsed)
        assert ask(memory) == answers[-1]
        assert len(parsed) == count
    assert [a.parts.get("optional_x") for a in answers[:2]] != [None, None]
    assert answers[0] == answers[3] != answers[1]
    assert answers[2] == first


def test_a_link_that_comes_alive_is_noticed(project):
    memory, shared = Memory(), project / "shared"
    (project / "a" / "__init__.py").write_text("from a import plug_x, plugs_x")
    (project / "a" / "plug_x.py").symlink_to(shared / "plug_x.py")
    (project / "a" / "plugs_x").symlink_to(shared / "plugs_x")
    shared.mkdir()
    time.sleep(2.1)

    def ask(name):
        return list(version_of(code_version(name), memory).parts)

    alone = ["a", "a.b", "a.build", "c_x"]
    assert ask("a") == ask("a.build") == alone
    (shared / "plug_x.py").write_text("X = 1")
    assert ask("a") == ask("a.build") == [*alone[:3], "a.plug_x", "c_x"]
    (shared / "plugs_x").mkdir()
    (shared / "plugs_x" / "__init__.py").write_text("X = 1")
    assert ask("a") == ask("a.build") == [*alone[:3], "a.plug_x", "a.plugs_x", "c_x"]


@pytest.mark.parametrize(
    "garbled",
    [5, [], {}, {"text": 5}, {"text": SCHEME + "0" * 64}, {"facts": {"x": 1}, "files": {"x": {}}}],
)
def test_a_garbled_memory_costs_only_time(project, garbled):
    memory = Memory()
    first = ask(memory)
    (name,) = memory
    memory[name] = garbled

    assert ask(memory) == first
    whole = memory.get(name)
    for field in whole:
        memory[name] = {**whole, field: garbled}
        assert ask(memory) == first


def test_a_module_that_is_being_written_is_read_whole_or_refused(project):
    path = project / "c_x.py"
    texts = [f"X = {n} * [0]\n" * 500 for n in range(2)]
    allowed = set()
    for text in (*texts, ""):  # whoever writes in place leaves it empty first
        path.write_text(text)
        allowed.add(ask({}).parts["c_x"].digest)
    stop = threading.Event()

    def write():
        n = 0
        while not stop.is_set():
            n += 1
            path.write_text(texts[n % 2])
            stop.wait(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    seen, refused = set(), set()
    for _ in range(3):
        try:
            seen.add(ask({}).parts["c_x"].digest)
        except UnkeyableValue as error:
            refused.add(str(error))
    stop.set()
    writer.join()

    assert seen <= allowed
    assert refused <= {f"version: {path} is being written: try again when it is saved"}
    assert seen or refused


def test_an_entry_says_which_modules_built_it(cache, project, capsys):
    version = code_version("a.build", depends_on=["torch"])
    entry = cache.get_or_build({}, lambda: {"x": 1}, version=version, namespace="t.code")
    by_hand = cache.get_or_build({}, lambda: {"x": 1}, version="1", namespace="t.code")

    def shown(entry, *options):
        capsys.readouterr()
        assert cli.run(["show", str(entry.key), "--cache", cache.root, *options]) == 0
        return capsys.readouterr().out

    parts = version_of(version, {}).parts
    assert list(parts) == ["a.b", "a.build", "c_x", "package torch"]
    assert json.loads(shown(entry, "--json"))["code"] == [
        {"module": name, "size": part.size, "digest": part.digest} for name, part in parts.items()
    ]
    assert all(part.digest[:16] in shown(entry).partition("\ncode\n")[2] for part in parts.values())
    assert json.loads(shown(by_hand, "--json"))["code"] == []
    assert "\ncode\n" not in shown(by_hand)


def test_a_thousand_modules_that_import_each_other_are_one_version(project):
    for n in range(1000):
        (project / f"many_{n}.py").write_text(f"import many_{(n + 1) % 1000}, many_{n // 2}\n")
    (project / "many_0.py").write_text("x = [\n" + "    1234567,\n" * 50_000 + "]\nimport many_1")

    parts = version_of(code_version("many_500"), {}).parts

    assert len(parts) == 1000
