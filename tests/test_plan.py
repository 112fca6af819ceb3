"""What keys would ask of a cache: counted before anything is built, and without a trace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from processes import python
from roots import flip, names_in

import tensorcache
from tensorcache.key import make_key
from tensorcache.plan import Usual, plan

GIVEN = {"version": "1", "namespace": "t.plan"}
NOTHING = Usual(None, None)


def key(n, namespace="t.plan"):
    return make_key({"n": n}, version="hand:1", sources={}, namespace=namespace)


def build(cache, n, size=10):
    return cache.get_or_build({"n": n}, lambda: [b"x" * 40_000 * size], **GIVEN)


def usual(namespace):
    return {"t.plan": Usual(2.0, 100), "t.other": Usual(0.5, 7)}.get(namespace, NOTHING)


def test_each_ask_is_a_hit_a_build_or_the_same_as_a_build_before():
    asked = [key(1), key(2), key(1), key(3, "t.other"), key(2).digest, key(2)]

    found = plan(asked, {key(1).digest: 40}, usual)

    assert found.states == ("hit", "build", "hit", "build", "same", "same")
    assert found.keys == tuple(map(str, asked))
    assert found.hits == {key(1).digest: 40}
    assert found.builds == (key(2).digest, key(3, "t.other").digest)
    assert (found.distinct, found.same) == (3, 2)
    assert (found.ahead_bytes, found.ahead_seconds) == (107, 2.5)


@pytest.mark.parametrize("unknown", ["f" * 64, key(1, "t.new")])
def test_what_is_not_known_of_one_build_is_not_known_of_all(unknown):
    found = plan([key(1), unknown], {}, usual)

    assert len(found.builds) == 2
    assert (found.ahead_bytes, found.ahead_seconds) == (None, None)


def test_seconds_may_be_unknown_where_bytes_are_not():
    found = plan([key(1)], {}, lambda _: Usual(None, 100))

    assert (found.ahead_bytes, found.ahead_seconds) == (100, None)


def test_no_key_is_a_plan_too():
    assert plan([], {}, usual) == ((), (), {}, (), 0, 0.0)


def test_a_cache_that_keeps_nothing_builds_each_time():
    found = plan([key(1), key(2), key(2)], {key(1).digest: 40}, usual, keeps=False)

    assert found.states == ("build",) * 3
    assert (found.hits, found.same, found.ahead_seconds) == ({}, 0, 6.0)


def test_a_plan_of_a_cache_comes_true(cache):
    build(cache, 1)
    keys = [cache.key({"n": n}, **GIVEN) for n in (1, 2, 2, 3, 1)]

    found = cache.plan(keys)
    hits = [build(cache, n).hit for n in (1, 2, 2, 3, 1)]

    assert [state != "build" for state in found.states] == hits
    assert found.hits == {keys[0].digest: cache.entries()["bytes"].iloc[-1]}
    assert found.ahead_bytes == cache.entries()["bytes"].iloc[:2].sum()
    assert found.ahead_seconds > 0
    assert cache.plan(keys).builds == ()


def test_what_is_ahead_is_the_median_of_the_newest(cache):
    for n in range(3):
        build(cache, n, size=(1, 2, 30)[n])
    sizes = sorted(cache.entries()["bytes"])

    found = cache.plan([cache.key({"n": n}, **GIVEN) for n in (7, 8)])

    assert found.ahead_bytes == 2 * sizes[1]


def test_of_what_was_put_the_bytes_are_known_and_no_seconds(cache):
    entry = cache.put(cache.key({"n": 1}, **GIVEN), [b"x" * 50_000])

    found = cache.plan([cache.key({"n": 2}, **GIVEN)])

    there = cache.plan([entry.key]).hits[entry.key.digest]
    assert (found.ahead_bytes, found.ahead_seconds) == (there, None)


def test_nothing_is_written_and_no_use_is_counted(cache, root):
    build(cache, 1)
    names = set(names_in(root, ""))
    before = {name: os.stat(Path(root, name)) for name in names}

    cache.plan([cache.key({"n": n}, **GIVEN) for n in (1, 2)])

    after = {name: os.stat(Path(root, name)) for name in names_in(root, "")}
    assert after.keys() == before.keys()
    assert {n: (s.st_mtime_ns, s.st_size, s.st_ino) for n, s in after.items()} == {
        n: (s.st_mtime_ns, s.st_size, s.st_ino) for n, s in before.items()
    }


def test_a_cache_open_for_reading_plans_as_one_that_is_written(cache, root):
    build(cache, 1)
    keys = [cache.key({"n": n}, **GIVEN) for n in (1, 2, 2)]

    with tensorcache.open(root, mode="ro") as reader:
        found = reader.plan(keys)

    assert found == cache.plan(keys)
    assert found.states == ("hit", "build", "same")


@pytest.mark.parametrize("harm", [os.unlink, lambda path: Path(path).write_bytes(b"no index" * 99)])
def test_with_an_index_that_is_broken_only_what_is_ahead_is_not_known(cache, root, harm):
    build(cache, 1)
    keys = [cache.key({"n": n}, **GIVEN) for n in (1, 2)]
    index = Path(root, "index.sqlite")
    whole = index.read_bytes()
    harm(index)

    found = cache.plan(keys)

    index.write_bytes(whole)
    assert found.states == ("hit", "build")
    assert (found.ahead_bytes, found.ahead_seconds) == (None, None)


def test_what_would_be_a_miss_is_a_build_however_it_is_broken(cache, root):
    entry = build(cache, 1)
    kept = cache.key({"n": 1}, **GIVEN)
    manifest = Path(root, "entries", kept.digest[:2], f"{kept}.msgpack")
    (piece,) = Path(root, "documents").rglob("*.msgpack")
    del entry

    flip(manifest)
    broken = cache.plan([kept]).states
    flip(manifest)
    piece.rename(piece.with_suffix(".away"))
    missing = cache.plan([kept]).states
    piece.with_suffix(".away").rename(piece)

    assert (broken, missing, cache.plan([kept]).states) == (("build",), ("build",), ("hit",))


def test_refresh_and_off_build_everything_anew(cache, root, monkeypatch):
    build(cache, 1)
    keys = [cache.key({"n": 1}, **GIVEN)] * 2

    with tensorcache.open(root, mode="refresh") as fresh:
        assert fresh.plan(keys).states == ("build", "build")
    with cache.disabled():
        assert cache.plan(keys).states == ("build", "build")
    assert cache.plan(keys).states == ("hit", "hit")


@pytest.mark.parametrize("wrong", ["abc", "F" * 64, 5, None, b"0" * 64])
def test_what_is_no_key_is_refused(cache, wrong):
    with pytest.raises(tensorcache.UnkeyableValue, match="pass cache"):
        cache.plan([wrong])


def test_a_plan_of_hits_imports_nothing_heavy(cache, root):
    digest = build(cache, 1).key.digest

    out = python(
        "import sys, tensorcache\n"
        "found = tensorcache.open(sys.argv[1]).plan([sys.argv[2]])\n"
        "heavy = {'torch', 'numpy', 'pandas', 'sqlalchemy', 'sqlite3'} & set(sys.modules)\n"
        "print(found.states, heavy)\n",
        root,
        digest,
    )

    assert out == "('hit',) set()\n"
