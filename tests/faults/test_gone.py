"""Law 6: the directory of an open cache is removed, emptied, or becomes something else."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from forks import Fork
from processes import python, start
from roots import PREAMBLE, get, hit, payload, same

import tensorcache
from tensorcache import disk

LOCK = """
import sys
from tensorcache import disk
with disk.locked(disk.Root(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.read()
"""
CROWD = 6
context = multiprocessing.get_context("fork")


@pytest.fixture
def logs(tmp_path):
    """A source, which the cache remembers by its stat."""
    path = tmp_path / "logs.csv"
    path.write_text("old")
    os.utime(path, (1, 1))
    return path


def build(cache, n, logs):
    return cache.get_or_build(
        {"n": n},
        lambda: payload(n),
        version="1",
        namespace="t.laws",
        sources={"logs": tensorcache.files(logs)},
    )


def empty(root):
    for name in os.listdir(root):
        path = Path(root, name)
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("refresh", [False, True])
def test_a_cache_that_was_emptied_begins_again(refresh, cache, root, logs, caplog):
    get(cache, 1)
    empty(root)
    entry = build(cache, 2, logs) if not refresh else get(cache, 1, refresh=True)

    same(entry, 11 if refresh else 2)
    assert entry.published
    assert warnings_in(caplog) == []
    with tensorcache.open(root, create=False) as again:
        assert len(again.entries()) == 1


def test_who_waited_for_the_lock_while_the_cache_was_emptied_excludes_others(cache, root):
    get(cache, 1)
    first = start(LOCK, root, stdin=subprocess.PIPE)
    with first:
        assert first.stdout.readline() == "in\n"
        with start(LOCK, root, stdin=subprocess.PIPE) as second:
            assert select.select([second.stdout], [], [], 2.0)[0] == []  # it waits by now
            empty(root)
            first.communicate()
            assert second.stdout.readline() == "in\n"
            began_again = Path(root, "tensorcache.json").exists()
            with (
                pytest.raises(tensorcache.LeaseTimeout, match="was held for"),
                disk.locked(disk.Root(root), 0.3),
            ):
                pass
            second.communicate()

    assert began_again
    assert get(cache, 2).published


def build_slowly(cache, barrier, builds):
    def build():
        with builds.open("a") as file:
            file.write("x")
        time.sleep(0.5)
        return {"x": [1]}

    barrier.wait()
    entry = cache.get_or_build({}, build, version="1", namespace="t.laws")
    return [entry.published, entry["x"][0]]


def test_of_a_crowd_in_a_cache_that_was_emptied_one_builds(cache, root, tmp_path):
    get(cache, 1)
    empty(root)
    barrier = context.Barrier(CROWD)
    builds = tmp_path / "builds"
    with contextlib.ExitStack() as stack:
        forks = [
            stack.enter_context(Fork(build_slowly, cache, barrier, builds)) for _ in range(CROWD)
        ]
        answers = [one.answer for one in forks]

    assert answers == [[True, 1]] * CROWD
    assert builds.read_text() == "x"


def test_a_directory_made_anew_is_a_cache_again(cache, root, caplog):
    get(cache, 1)
    shutil.rmtree(root)
    os.mkdir(root, 0o700)

    assert get(cache, 2).published
    assert warnings_in(caplog) == []


def test_what_another_began_in_its_place_is_used(cache, root, caplog):
    get(cache, 1)
    shutil.rmtree(root)
    python(f"{PREAMBLE}\nget(tensorcache.open(sys.argv[1]), 2)", root)

    same(hit(cache, 2), 2)
    assert get(cache, 3).published
    assert warnings_in(caplog) == []


def test_what_is_no_cache_any_more_is_left_as_it_is(root, logs, caplog):
    cache = tensorcache.open(root)
    get(cache, 1)
    shutil.rmtree(root)
    os.mkdir(root, 0o700)
    Path(root, "thesis.tex").write_text("years of work")
    entry = build(cache, 2, logs)
    for change in (
        lambda: cache.put(entry.key, payload(2)),
        cache.vacuum,
        cache.upgrade,
    ):
        with pytest.raises(tensorcache.NotACache, match="choose an empty directory"):
            change()

    same(entry, 2)
    assert "is no cache" in entry.why
    assert len(warnings_in(caplog)) == 1
    assert os.listdir(root) == ["thesis.tex"]


def test_a_cache_whose_parent_is_gone_is_not_made_elsewhere(tmp_path, logs, caplog):
    root = tmp_path / "home" / "cache"
    cache = tensorcache.open(root)
    get(cache, 1)
    shutil.rmtree(tmp_path / "home")
    entry = build(cache, 2, logs)
    with pytest.raises(tensorcache.TensorCacheError, match="it was removed: open it anew"):
        cache.put(entry.key, payload(2))

    same(entry, 2)
    assert not entry.published
    assert len(warnings_in(caplog)) == 1
    assert sorted(os.listdir(tmp_path)) == ["logs.csv"]


def test_a_working_directory_that_is_gone_costs_the_cache_alone(tmp_path, monkeypatch, caplog):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    cache = tensorcache.open("cache")
    get(cache, 1)
    shutil.rmtree(tmp_path / "work")
    entry = get(cache, 2)
    other = get(tensorcache.open("other"), 3)
    elsewhere = get(tensorcache.open(tmp_path / "elsewhere"), 4)

    same(entry, 2)
    same(other, 3)
    assert elsewhere.published
    assert len(warnings_in(caplog)) == 2
    assert "no cache can begin at 'other'" in other.why
    assert os.listdir(tmp_path) == ["elsewhere"]
    with tensorcache.open(tmp_path / "elsewhere") as found:
        assert found.verify(deep=True) == []
