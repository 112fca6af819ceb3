"""What a call goes through counts: wrappers, bound classes and the functions in a partial."""

from __future__ import annotations

import functools
import importlib
import subprocess
import sys

import processes
import pytest

from tensorcache.errors import UnkeyableValue
from tensorcache.source import code_version, version_of

DECORATOR = """import functools
def scale(f):
    @functools.wraps(f)
    def g(*a): return f(*a) * 2
    return g
"""
MODULES = {
    "base_x": "class Base:\n    def build(self): return self.step()\n"
    "    @classmethod\n    def made(cls): return cls().step()",
    "sub_x": "from base_x import Base\nclass Sub(Base):\n    def step(self): return 1",
    "deco_x": DECORATOR,
    "plain_x": "def build(*a): return 1",
    "apart_x": "class Apart:\n    def __call__(self): return 1",
}


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """The modules above, imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    yield [importlib.import_module(name) for name in MODULES]
    for name in MODULES:
        del sys.modules[name]


def covered(thing):
    return " ".join(version_of(code_version(thing), {}).parts)


def test_the_class_that_a_method_is_bound_to_counts(modules):
    base, sub, deco, *_ = modules

    assert covered(sub.Sub().build) == "base_x sub_x"
    assert covered(sub.Sub.made) == "base_x sub_x"
    assert covered(sub.Sub.build) == "base_x"  # of a function, nobody knows what it will get
    mixed = type("Mixed", (sub.Sub,), {"__module__": "plain_x", "build": deco.scale(sub.Sub.build)})
    assert covered(mixed().build) == "base_x deco_x plain_x sub_x"
    assert covered(base.Base().build) == "base_x"


def test_a_wrapper_counts_wherever_it_was_applied(modules):
    _, sub, deco, plain, apart = modules
    wrapped = deco.scale(plain.build)

    for thing in (wrapped, functools.lru_cache(wrapped), functools.partial(deco.scale(wrapped))):
        assert covered(thing) == "deco_x plain_x"
    assert covered(functools.partial(plain.build, 1, deco.scale)) == "deco_x plain_x"
    assert covered(functools.partial(plain.build, f=sub.Sub().build)) == "base_x plain_x sub_x"
    assert covered(functools.partial(plain.build, apart.Apart(), [3])) == "apart_x plain_x"
    held = functools.update_wrapper(apart.Apart(), plain.build)
    assert covered(held) == "apart_x plain_x"
    plain.build.__wrapped__ = wrapped  # round and round
    assert covered(wrapped) == "deco_x plain_x"


def test_layers_of_libraries_and_compiled_code_do_not_count(modules, tmp_path, monkeypatch):
    plain = modules[3]
    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "library_x.py").write_text(DECORATOR + "class Of: pass\n")
    monkeypatch.syspath_prepend(str(library))
    library_x = importlib.import_module("library_x")
    monkeypatch.delitem(sys.modules, "library_x")

    for thing in (
        library_x.scale(plain.build),
        functools.singledispatch(plain.build),
        functools.partial(plain.build, len, int, library_x.Of, type(None), type(len), "text".join),
        type("Bound", (library_x.Of,), {"__module__": "plain_x", "build": plain.build})().build,
    ):
        assert covered(thing) == "plain_x"


def test_layers_typed_at_a_prompt_are_refused(modules):
    script = """
import functools, plain_x, sub_x
from tensorcache.source import code_version
class Typed(sub_x.Sub): pass
@functools.wraps(plain_x.build)
def typed(*a): return 2
for thing in (typed, Typed().build, functools.partial(plain_x.build, lambda: 1)):
    try:
        print(code_version(thing))
    except TypeError as error:
        print(str(error).rpartition(" has no source file: pass a version by hand")[2])
"""
    folder = modules[0].__file__.rpartition("/")[0]
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": f"{processes.REPO}:{folder}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [", version='1'"] * 3
    made = eval("lambda: 1")
    made.__wrapped__ = modules[3].build
    with pytest.raises(UnkeyableValue, match="has no source file"):
        code_version(made)
