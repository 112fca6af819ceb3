"""Switches: the modes as a process meets them, and `with cache.disabled()`."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest
from processes import ENVIRONMENT, python

import tensorcache
from tensorcache import EntryMissing, ReadOnlyCache


def ask(cache, n=1, build=lambda: "built", **options):
    return cache.get_or_build({"n": n}, build, version="1", namespace="t.switch", **options)


def files_of(root):
    """Every file with what would change if it were written."""
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in Path(root).rglob("*")}


ASK = """
import os, sys, tensorcache
cache = tensorcache.open(sys.argv[1])
for n in (1, 2):
    entry = cache.get_or_build({"n": n}, os.getpid, version="1", namespace="t.switch")
    state = "hit" if entry.hit else "published" if entry.published else "in memory"
    print(n, state, "ours" if entry.load() == os.getpid() else "there")
"""


@pytest.mark.parametrize(
    ("mode", "said", "after"),
    [
        ("rw", "1 hit there\n2 published ours\n", 2),
        ("ro", "1 hit there\n2 in memory ours\n", 1),
        ("refresh", "1 published ours\n2 published ours\n", 2),
        ("off", "1 in memory ours\n2 in memory ours\n", 1),
    ],
)
def test_tensorcache_mode_in_a_process_of_its_own(cache, root, mode, said, after, monkeypatch):
    ask(cache)
    monkeypatch.setitem(ENVIRONMENT, "TENSORCACHE_MODE", mode)
    before = files_of(root)

    assert python(ASK, root) == said
    assert len(list(Path(root).glob("entries/*/*.msgpack"))) == after
    if mode in ("ro", "off"):
        assert files_of(root) == before


def test_inside_disabled_nothing_is_read_or_written(cache, root):
    key = ask(cache, build=lambda: "there").key
    source = Path(root).parent / "source.csv"
    source.write_text("1")
    os.utime(source, (1e9, 1e9))
    before = files_of(root)

    with cache.disabled():
        known, new = ask(cache), ask(cache, 2)
        by_source = ask(cache, sources={"csv": tensorcache.files(source)})
        assert cache.mode == "off"
        assert key not in cache
        assert cache.get(key) is None
        with pytest.raises(EntryMissing):
            cache[key]
        for change in (lambda: cache.put(key, 1), lambda: cache.remove(key), cache.vacuum):
            with pytest.raises((ReadOnlyCache, EntryMissing)):
                change()

    for entry in (known, new, by_source):
        assert (entry.load(), entry.hit, entry.published) == ("built", False, False)
        assert entry.why == "not published: inside cache.disabled()"
    assert files_of(root) == before
    assert cache.mode == "rw"
    assert ask(cache).load() == "there"


def test_it_may_be_nested_and_ends_however_it_ends(cache):
    with cache.disabled():
        with pytest.raises(ZeroDivisionError), cache.disabled():
            ask(cache, build=lambda: 1 / 0)
        assert not ask(cache).published
    assert ask(cache).published


def test_blocks_may_end_in_any_order(cache):
    def block():
        with cache.disabled():
            yield

    one, other = block(), block()
    next(one), next(other)

    one.close()
    assert cache.mode == "off"
    other.close()
    assert cache.mode == "rw"
    assert ask(cache).published


def test_another_cache_is_not_disabled(cache, root):
    other = tensorcache.open(root)

    with cache.disabled():
        assert ask(other).published
        assert ask(other).hit
        assert not ask(cache).hit


def test_other_threads_are_not_disabled(cache):
    published = {}

    with cache.disabled():
        thread = threading.Thread(target=lambda: published.update(thread=ask(cache).published))
        thread.start()
        thread.join()
        published["here"] = ask(cache, 2).published

    assert published == {"thread": True, "here": False}


def test_tasks_are_disabled_each_for_itself(cache):
    async def task(n, *, off):
        if not off:
            return await asyncio.to_thread(ask, cache, n)
        with cache.disabled():
            await asyncio.sleep(0)
            return await asyncio.to_thread(ask, cache, n)

    async def both():
        return await asyncio.gather(task(1, off=True), task(2, off=False))

    assert [entry.published for entry in asyncio.run(both())] == [False, True]


def test_what_is_memoized_is_disabled_with_its_cache(cache):
    calls = []
    f = cache.memoize(version="1", namespace="t.memoized")(lambda n: [calls.append(n)])

    f(1)
    with cache.disabled():
        assert not f.cached(1)
        f(1)
    f(1)

    assert calls == [1, 1]


def test_refresh_replaces_what_is_there(cache):
    ask(cache, build=lambda: "old")

    entry = ask(cache, build=lambda: "new", refresh=True)

    assert (entry.hit, entry.published, entry.why) == (False, True, "refreshed")
    assert ask(cache).load() == "new"
