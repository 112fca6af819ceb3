"""Limits where many share, are open, or are large: who goes first still, and what is said."""

from __future__ import annotations

import gc

import pytest
from aged import KB, age, ask, dear, made, there

import tensorcache


@pytest.fixture
def opened(root):
    """Open the root with a limit; it must be whole afterwards."""

    def opened(max_size, **options):
        return tensorcache.open(root, max_size=max_size, min_free=None, **options)

    yield opened
    with opened(None) as cache:
        assert cache.verify(deep=True) == []


@pytest.mark.parametrize("policy", ["worth", "lru", "oldest"])
def test_sharers_of_what_stays_hide_none_that_frees_something(policy, opened, root, monkeypatch):
    monkeypatch.setattr("tensorcache.index.weights.WINDOW", 4)
    monkeypatch.setattr("tensorcache.index.weights.MOST_HOLDERS", 4)
    with opened(None) as cache:
        sharers = made(cache, *range(8), fill=7)
        alone = made(cache, *range(10, 13))
    age(root, sharers, hours=5)
    age(root, alone, hours=3)
    dear(root, [*sharers, *alone], [0.001] * 8 + [7.0, 8.0, 9.0])
    with opened(90 * KB, policy=policy) as cache:
        new = made(cache, 20)

        assert len(there(cache) & {*alone}) == 2
        assert there(cache) >= {*sharers, *new}


def test_many_that_are_open_keep_no_other_from_going(opened, root):
    with opened(None) as cache:
        held = [ask(cache, n) for n in range(12)]
        closed = made(cache, 20, 21)
        keys = [entry.key.digest for entry in held]
        cache.entries()
        age(root, [*keys, *closed])
        dear(root, [*keys, *closed], [0.001] * 12 + [8.0, 9.0])
    with opened(295 * KB) as cache:
        new = made(cache, 30)

        assert there(cache) == {*keys, closed[1], *new}
    del held
    gc.collect()


def test_what_is_larger_than_the_limit_goes_first_once_it_may(opened, root):
    with opened(None) as cache:
        small = made(cache, 1, 2, 3)
        large = made(cache, 4, kilobytes=200)
        age(root, [*small, *large])
        dear(root, [*small, *large], [1.0, 1.0, 1.0, 3_600.0])
    with opened(100 * KB) as cache:
        planned = cache.vacuum(dry_run=True).entries
        new = made(cache, 5)

        assert [victim.key for victim in planned] == large
        assert there(cache) == {*small, *new}


def test_a_large_shard_counts_once_however_many_pinned_entries_share_it(opened, root, caplog):
    with opened(None) as cache:
        pinned = made(cache, *range(5), fill=7, kilobytes=120)
        for key in pinned:
            cache.pin(key)
        keys = made(cache, *range(10, 16))
        age(root, [*pinned, *keys])
    with opened(100 * KB) as cache:
        new = made(cache, 20)

        assert len(there(cache) & {*keys}) == 3
        assert there(cache) >= {*pinned, *new}
        (line,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
        assert "the limit of 100.0 kB (max_size) is below the working set" in line
