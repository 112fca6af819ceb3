"""`@cache.memoize`: a function whose results are kept, by what it was called with."""

from __future__ import annotations

import functools
import pickle
import re

import numpy as np
import pytest
import torch
from processes import python

import tensorcache
from tensorcache import UnkeyableValue
from tensorcache.cache.memoize import namespace_of
from tensorcache.key import check_namespace


@pytest.fixture
def memoized(cache):
    """A memoized `f(a, b=2, *more, c=3, **rest)`, and the list of its calls."""
    calls = []

    @cache.memoize(version="1", namespace="t.memoize")
    def f(a, b=2, *more, c=3, **rest):
        calls.append((a, b, more, c, rest))
        return {"sum": a + b + sum(more) + c, "x": torch.arange(3)}

    return f, calls


def test_it_does_not_count_how_a_call_is_written(memoized):
    f, calls = memoized

    results = [f(1), f(1, 2), f(a=1), f(b=2, a=1), f(1, c=3)]

    assert [one["sum"] for one in results] == [6] * 5
    assert calls == [(1, 2, (), 3, {})]


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((2,), {}), ((1, 3), {}), ((1, 2, 0), {}), ((1,), {"c": 4}), ((1,), {"d": 0}), ((1.0,), {})],
)
def test_other_arguments_are_another_call(memoized, args, kwargs):
    f, calls = memoized
    f(1)

    assert not f.cached(*args, **kwargs)
    f(*args, **kwargs)
    assert f.cached(*args, **kwargs)
    assert len(calls) == 2


def test_a_miss_and_a_hit_give_the_same_types(cache):
    @cache.memoize(version="1", namespace="t.memoize")
    def make(n):
        return [{"x": torch.full((1, 2), float(i)), "ids": (i, {i})} for i in range(n)]

    miss, hit = make(40), make(40)

    assert type(miss) is type(hit) is list
    for one in (miss, hit):
        assert type(one[3]["ids"]) is tuple
        assert one[3]["ids"] == (3, {3})
        assert torch.equal(one[3]["x"], torch.full((1, 2), 3.0))
    miss[0]["x"] += 1
    assert make(40)[0]["x"][0, 0] == 0
    assert isinstance(make.entry(40)[""], tensorcache.Batches)
    assert make.entry(40).hit


def test_asking_for_a_key_runs_nothing(memoized, cache):
    f, calls = memoized

    key = f.key(1)

    assert not f.cached(1)
    assert key not in cache
    assert calls == []
    f(1)
    assert key in cache
    assert f.cached(1)


def test_arguments_that_are_ignored_change_no_key_and_reach_the_function(cache):
    seen = []

    @cache.memoize(version="1", ignore=("verbose",), namespace="t.memoize")
    def f(n, verbose=False):
        seen.append(verbose)
        return n

    assert [f(1, verbose=True), f(1, False)] == [1, 1]
    assert seen == [True]


def test_sources_may_depend_on_the_arguments(cache, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("1,2")

    @cache.memoize(
        version="1",
        ignore=("path",),
        namespace="t.memoize",
        sources=lambda path, sep=",": {"data": tensorcache.files(path)},
    )
    def read(path, sep=","):
        return path.read_text().split(sep)

    assert read(path) == ["1", "2"]
    (tmp_path / "other").mkdir()
    moved = path.rename(tmp_path / "other" / "data.csv")
    assert read.cached(moved)
    moved.write_text("3")
    assert not read.cached(moved)
    assert read(moved) == ["3"]


def test_what_cannot_be_keyed_is_refused_with_its_argument(memoized):
    f, calls = memoized

    with pytest.raises(
        UnkeyableValue, match=r"^memoized.*f\(a\[1\]\.x\): nan cannot be part of a key"
    ):
        f([1, {"x": float("nan")}])
    with pytest.raises(UnkeyableValue, match=r"f\(b\): array.*value\(x\).*or ignore=\('b',\)"):
        f(1, np.zeros(2))
    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        f()
    assert calls == []


def test_an_argument_that_belongs_to_no_key_is_computed_with_and_not_kept(cache, tmp_path):
    source = tmp_path / "s.txt"
    source.write_text("x")
    keyless = cache.get_or_build(
        {},
        lambda: [source.write_text("moved")],
        version="1",
        namespace="t.moved",
        sources={"s": tensorcache.files(source)},
    )
    f = cache.memoize(version="1", namespace="t.memoize")(lambda entry: len(entry[""]))

    assert keyless.key is None
    assert f(keyless) == 1
    assert not f.entry(keyless).published
    with pytest.raises(UnkeyableValue, match="an entry among the inputs is of no key"):
        f.key(keyless)
    with pytest.raises(UnkeyableValue, match="an entry among the inputs is of no key"):
        cache.explain_inputs({"entry": keyless}, namespace="t.memoize")


def test_what_the_function_itself_cannot_key_is_told_as_it_is(cache):
    @cache.memoize(version="1", namespace="t.memoize")
    def f(x):
        return cache.get_or_build({"x": {1: x}}, int, version="1", namespace="t.inner").load()

    with pytest.raises(UnkeyableValue, match=r"^inputs\.x: the dict key 1 cannot"):
        f(1)


def test_a_bad_namespace_is_refused_at_once(cache):
    with pytest.raises(UnkeyableValue, match="namespace: 'sqlite_x' cannot"):
        cache.memoize(version="1", namespace="sqlite_x")(len)


POOL = """
import multiprocessing, sys, tensorcache
cache = tensorcache.open(sys.argv[1])
@cache.memoize(version="1", namespace="t.pool")
def f(n):
    return 2 * n
if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[2]).Pool(1) as pool:
        print(pool.map(f, [1, 2]), f.cached(1), f.cached(2))
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_of_processes_takes_a_memoized_function(root, tmp_path, method):
    script = tmp_path / "pooled.py"
    script.write_text(POOL)
    run = "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]], check=True)"

    assert python(run, script, root, method) == "[2, 4] True True\n"


def test_it_is_pickled_by_its_name(cache, monkeypatch):
    memoized = cache.memoize(version="1")(test_it_is_pickled_by_its_name)
    monkeypatch.setitem(globals(), "test_it_is_pickled_by_its_name", memoized)

    assert pickle.loads(pickle.dumps(memoized)) is memoized


async def wait(n):
    return n


def generate(n):
    yield n


class Reader:
    def __init__(self):
        self.calls = 0

    def read(self, n):
        self.calls += 1
        return n


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (wait, {}, "wait is async"),
        (generate, {}, "generate is a generator: return a list"),
        (Reader.read, {}, r"Reader.read is a method.*ignore=\('self',\)"),
        (len, {"ignore": ("verbose",)}, "no parameter 'verbose' to ignore: it has obj"),
        (7, {}, "7 is no function"),
    ],
)
def test_what_cannot_be_memoized_is_refused_at_once(cache, function, options, message):
    with pytest.raises(TypeError, match=message):
        cache.memoize(version="1", **options)(function)


def test_a_method_may_leave_itself_out(cache):
    class Counting(Reader):
        read = cache.memoize(version="1", ignore=("self",))(Reader.read)

    reader = Counting()

    assert [reader.read(1), reader.read(n=1), Counting().read(1)] == [1, 1, 1]
    assert reader.calls == 1


def test_it_looks_like_the_function_it_stands_for(cache):
    def f(n: int) -> int:
        """Twice n."""
        return 2 * n

    memoized = cache.memoize(version=tensorcache.code_version(f), namespace="t.f")(f)

    assert memoized.__wrapped__ is f
    assert (memoized.__name__, memoized.__doc__) == ("f", "Twice n.")
    assert memoized(2) == memoized(2) == 4
    assert tensorcache.code_version(memoized).covers() == tensorcache.code_version(f).covers()


def test_a_function_may_call_itself(cache):
    @cache.memoize(version="1", namespace="t.memoize")
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert fib(8) == 21
    assert all(fib.cached(n) for n in range(9))


def named(module, qualname):
    def f():
        pass

    f.__module__, f.__qualname__ = module, qualname
    return f


def test_the_namespace_is_module_and_name_and_no_two_functions_share_one():
    names = [
        ("model_a.batches", "build"),
        ("model_a.batches", "Build"),
        ("model_a", "batches_build"),
        ("M", "f"),
        ("_m", "f"),
        ("1", "é"),
        ("sqlite_tools", "load"),
        ("f_sqlite_tools", "load"),
        ("sqlite_", "load"),
        ("m" * 40, "f" * 40),
        ("m" * 40, "f" * 41),
    ]
    namespaces = [namespace_of(named(*one)) for one in names]

    assert namespaces[0] == "model_a.batches.build"
    assert len(set(namespaces)) == len(names)
    for namespace in namespaces:
        assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*", namespace)
        assert len(namespace) <= 60
        check_namespace(namespace)


@pytest.mark.parametrize(
    "function",
    [
        functools.partial(sorted, [2, 1]),
        lambda: 1,
        named("m", "make.<locals>.f"),
        named("__main__", "f"),  # of any script, notebook or prompt
    ],
)
def test_what_has_no_name_of_its_own_needs_a_namespace(cache, function):
    with pytest.raises(TypeError, match="is a name that others may have: pass namespace="):
        cache.memoize(version="1")(function)
    assert cache.memoize(version="1", namespace="t.f")(function).key() is not None


SCRIPT = """
import sys, tensorcache
cache = tensorcache.open(sys.argv[1])
@cache.memoize(version="1", namespace="counting.f")
def f(n):
    return n
if __name__ == "__main__":
    f(1)
print(f.key(1).namespace, f.cached(1))
"""


def test_a_script_and_who_imports_it_share_results(root, tmp_path):
    (tmp_path / "counting.py").write_text(SCRIPT)
    run = "import runpy, sys; sys.argv[0:1] = []; runpy.run_path(sys.argv[0], run_name='__main__')"
    imported = "import sys; sys.path.insert(0, sys.argv.pop(2)); import counting"

    assert python(run, tmp_path / "counting.py", root) == "counting.f True\n"
    assert python(imported, root, tmp_path) == "counting.f True\n"
