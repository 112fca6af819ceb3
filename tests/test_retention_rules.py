"""The limits of a cache, kept by its publications: what goes, what stays, what is said."""

from __future__ import annotations

import contextlib
import gc
import os
import sqlite3
from pathlib import Path

import pytest
import torch
from aged import KB, NAMESPACE, age, ask, dear, made, there
from first_revision import put_back
from roots import fill, names_in, rows

import tensorcache
from tensorcache import disk
from tensorcache.manifest import to_bytes

LIMIT = 100 * KB


@pytest.fixture
def opened(root):
    """Open the root with a limit; it must be whole afterwards."""

    def opened(max_size=LIMIT, **options):
        return tensorcache.open(root, max_size=max_size, **options)

    yield opened
    with tensorcache.open(root, max_size=None, min_free=None) as cache:
        assert cache.verify(deep=True) == []


def said(caplog, level="WARNING"):
    return [
        r.getMessage() for r in caplog.records if r.name == "tensorcache" and r.levelname == level
    ]


def evicted(caplog):
    return [message for message in said(caplog, "INFO") if message.startswith("evicted")]


# --- the limit holds ---


def test_a_publication_removes_what_is_worth_least_and_says_so_in_one_line(opened, root, caplog):
    with opened() as cache, caplog.at_level("INFO", "tensorcache"):
        keys = made(cache, 1, 2, 3, 4)
        age(root, keys)
        dear(root, keys, [8.0, 1.0, 9.0, 7.0])
        new = made(cache, 5)

        assert there(cache) == {*keys, *new} - {keys[1]}
        assert evicted(caplog) == [
            "evicted 1 entries, 20.6 kB: over the limit of 100.0 kB (max_size)"
        ]
        assert len(names_in(root, "shards")) == 4
    assert rows(root, "SELECT kind FROM event WHERE kind = 'evict'") == [("evict",)]
    assert rows(root, "SELECT bytes <= 100000, limit_bytes FROM _size") == [(1, LIMIT)]


@pytest.mark.parametrize(("policy", "goes"), [("lru", 1), ("oldest", 0)])
def test_another_policy_removes_what_was_used_or_made_longest_ago(policy, goes, opened, root):
    with opened(policy=policy) as cache:
        keys = made(cache, 1, 2, 3, 4)
        age(root, keys, hours=5)
        age(root, keys[:1], hours=2, created_at="2001-01-01 00:00:00.000000")
        age(root, keys[1:2], hours=9, created_at="2002-01-01 00:00:00.000000")
        new = made(cache, 5)

        assert there(cache) == {*keys, *new} - {keys[goes]}


def test_a_limit_is_on_by_default(root):
    with tensorcache.open(root) as cache:
        made(cache, 1)
        found = os.statvfs(root)
        limit = min(50 * 10**9, int(0.2 * found.f_blocks * found.f_frsize))

        assert rows(root, "SELECT limit_bytes FROM _size") == [(limit,)]
        assert cache.verify() == []


def test_none_is_no_limit(opened, root, monkeypatch):
    with opened(None) as cache:
        keys = made(cache, *range(1, 8))
        age(root, keys)
        made(cache, 8)
        assert len(there(cache)) == 8
    monkeypatch.setenv("TENSORCACHE_MAX_SIZE", "50kB")
    with opened(None) as cache:
        made(cache, 9)
        assert len(there(cache)) == 2


def test_so_much_of_the_disk_stays_free(small_disk, caplog):
    """The entries fill a small disk; what others put there is none of their business."""
    root = str(small_disk / "cache")
    with tensorcache.open(root, max_size=None, min_free="900kB") as cache:
        keys = made(cache, 1, 2, 3, kilobytes=250)
        age(root, keys)
        made(cache, 4, kilobytes=250)
        assert len(there(cache)) < 4
        with open(small_disk / "another", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, os.statvfs(root).f_bavail * 4096 - 300_000)
        age(root, there(cache))
        before = there(cache)
        key = made(cache, 5, kilobytes=10)
        assert there(cache) >= {*before, *key} or len(there(cache)) == 1
        assert cache.verify(deep=True) == []


# --- rule 1: none of many who share goes for nothing ---


def test_of_those_who_share_a_shard_none_goes_for_nothing(opened, root):
    with opened() as cache:
        sharers = made(cache, *range(6), fill=7, kilobytes=40)
        pinned, large = made(cache, 10, fill=7, kilobytes=40), made(cache, 11, kilobytes=40)
        cache.pin(pinned[0])
        age(root, [*sharers, *pinned, *large])
        dear(root, [*sharers, *large], [0.001] * 6 + [99.0])
        new = made(cache, 12, kilobytes=40)

        assert there(cache) == {*sharers, *pinned, *new}


def test_all_who_share_a_shard_go_where_it_comes_back_by_that(opened, root):
    with opened() as cache:
        sharers = made(cache, 1, 2, 3, fill=7, kilobytes=60)
        (stays,) = made(cache, 4, kilobytes=20)
        age(root, [*sharers, stays])
        dear(root, [*sharers, stays], [0.001, 0.002, 0.003, 99.0])
        new = made(cache, 5, kilobytes=60)

        assert there(cache) == {stays, *new}
        assert len(names_in(root, "shards")) == 2


# --- rule 2: what is larger than the limit ---


def test_what_is_larger_than_the_limit_is_stored_and_drives_no_other_out(opened, root, caplog):
    with opened() as cache:
        keys = made(cache, 1, 2)
        age(root, keys)
        large = ask(cache, 3, kilobytes=200)
        assert large.published
        (line,) = said(caplog)
        assert " kB is larger than the limit of 100.0 kB (max_size): it is stored" in line
        caplog.clear()
        key, large = large.key.digest, None
        gc.collect()
        new = made(cache, 4)  # while the large one was used just now

        assert there(cache) == {*keys, key, *new}
        cache.pin(key)
        age(root, [*keys, key, *new])
        newer = made(cache, 5)
        assert there(cache) == {*keys, key, *new, *newer}
        cache.unpin(key)
        newest = made(cache, 6)
        assert there(cache) == {*keys, *new, *newer, *newest}


# --- rule 3: what stays ---


def test_pinned_open_and_just_used_entries_stay_and_a_small_limit_is_warned_of(
    opened, root, caplog
):
    with opened(50 * KB) as cache:
        pinned, held, used = made(cache, 1, 2, 3)
        cache.pin(pinned)
        age(root, [pinned, held, used])
        entry = cache[held]
        age(root, [held])
        ask(cache, 3)  # a use, which the journal has
        new = made(cache, 4)

        assert there(cache) == {pinned, held, used, *new}
        made(cache, 5)
        (line,) = said(caplog)
        assert "the limit of 50.0 kB (max_size) is below the working set" in line
        del entry
        gc.collect()
        cache.unpin(pinned)


def test_what_is_open_stays_and_another_goes_for_it(opened, root):
    with opened() as cache:
        keys = made(cache, 1, 2, 3, 4)
        entry = cache[keys[0]]
        cache.entries()
        age(root, keys)
        dear(root, keys, [1.0, 2.0, 3.0, 4.0])
        new = made(cache, 5)

        assert there(cache) == {*keys, *new} - {keys[1]}
        assert int(entry["x"].sum()) == 20 * KB
        del entry
        gc.collect()


# --- rule 4: an index of before on a full disk ---


def made_old(root):
    """Let the index be of revision 0001, as the library before this wrote it."""
    put_back(os.path.join(root, "index.sqlite"))
    assert rows(root, "SELECT version_num FROM alembic_version") == [("0001",)]


def test_an_index_of_before_on_a_full_disk_is_no_broken_one(small_disk, caplog):
    root = str(small_disk / "cache")
    with tensorcache.open(root, max_size=LIMIT, min_free=None) as cache:
        keys = made(cache, 1, 2, 3, 4)
        age(root, keys)
        made_old(root)
        inode = os.stat(Path(root, "index.sqlite")).st_ino
        fill(small_disk)
        entry = ask(cache, 5)
        assert "No space left" in entry.why
        assert len(said(caplog)) == 1
        assert cache.get(keys[0]) is not None
        gc.collect()
        assert cache.vacuum(dry_run=True, older_than_seconds=0, grace_seconds=0).frees_bytes > 0

        assert names_in(root, "quarantine") == set()
        assert os.stat(Path(root, "index.sqlite")).st_ino == inode
        assert rows(root, "SELECT version_num FROM alembic_version") == [("0001",)]
        os.unlink(small_disk / "ballast")
        made(cache, 6)
        assert rows(root, "SELECT version_num FROM alembic_version") == [("0002",)]
        age(root, keys[1:])
        made(cache, 7)
        assert rows(root, "SELECT bytes <= 100000 FROM _total") == [(1,)]
        assert cache.verify(deep=True) == []


def test_a_full_disk_with_an_index_of_before_is_freed_by_vacuum(small_disk):
    root = str(small_disk / "cache")
    with tensorcache.open(root, max_size=None, min_free=None) as cache:
        made(cache, 1, 2, 3, kilobytes=200)
        made_old(root)
        fill(small_disk)
        assert len(cache.vacuum(max_bytes=1, grace_seconds=0).entries) == 3

        assert names_in(root, "entries", "shards", "quarantine") == set()
        os.unlink(small_disk / "ballast")
        made(cache, 4)
        assert len(there(cache)) == 1
        assert cache.verify(deep=True) == []


# --- rule 6: what newer versions wrote, and rows that nobody wrote ---


def test_a_manifest_of_a_newer_format_is_never_evicted(opened, root):
    with opened() as cache:
        keys = made(cache, 1, 2, 3, 4)
        manifest = disk.read_manifest(disk.Root(root), keys[0])
        shards = [f"shards/{p.digest[:2]}/{p.digest}.safetensors" for p in manifest.shards]
        path = Path(disk.manifest_path(disk.Root(root), keys[0]))
        whole = path.read_bytes()
        path.unlink()
        path.write_bytes(to_bytes(manifest._replace(format=2)))
        age(root, keys)
        dear(root, keys, [0.001, 2.0, 3.0, 4.0])
        made(cache, 5)

        assert path.exists()
        assert not Path(disk.manifest_path(disk.Root(root), keys[1])).exists()
        gone = {one.key for one in cache.vacuum(max_bytes=1, grace_seconds=0).entries}
        assert keys[0] not in gone
        assert len(gone) == 3
        assert set(shards) <= names_in(root, "shards")
        path.unlink()
        path.write_bytes(whole)


@pytest.mark.parametrize(
    "harm",
    [
        *("worth = 'much'", "touched_at = 'once'", "alone_bytes = x'00'", "key = 'k'"),
        *("created_at = 12345", "namespace = x'ff'"),
    ],
)
def test_a_bad_row_never_makes_a_publication_raise(harm, opened, root):
    with opened() as cache:
        keys = made(cache, 1, 2, 3, 4)
        age(root, keys)
        with contextlib.closing(sqlite3.connect(Path(root, "index.sqlite"))) as index, index:
            index.execute(f"UPDATE entry SET {harm} WHERE key = ?", keys[:1])
        entry = ask(cache, 5)

        assert entry.published
        del entry
        gc.collect()
        cache.reindex()


# --- rule 8: where nothing may be removed, or cannot be ---


def test_nothing_goes_where_nothing_may_be_written(opened, root):
    with opened(None) as cache:
        keys = made(cache, 1, 2, 3, 4, 5, 6)
        age(root, keys)
    for options in ({"mode": "ro"}, {"mode": "off"}):
        with opened(**options) as cache:
            assert not ask(cache, 7).published
    with opened() as cache, cache.disabled():
        assert not ask(cache, 8).published

    assert len(names_in(root, "entries")) == 6


def test_a_limit_that_cannot_be_kept_is_one_warning_and_the_entry_comes_back(opened, root, caplog):
    with opened() as cache:
        keys = made(cache, 1, 2, 3, 4)
        age(root, keys)
        dear(root, keys, [1.0, 2.0, 3.0, 4.0])
        (piece,) = disk.read_manifest(disk.Root(root), keys[0]).shards
        path = disk.piece_path(disk.Root(root), "shard", piece.digest)
        os.unlink(path)
        os.mkdir(path)  # which no unlink takes
        entry = ask(cache, 5)

        assert entry.published
        assert torch.equal(entry["x"], torch.full((20 * KB,), 5, dtype=torch.uint8))
        assert len(said(caplog)) == 1
        del entry
        gc.collect()
        os.rmdir(path)
        cache.vacuum()


def test_put_keeps_the_limit_too(opened, root):
    with opened() as cache:
        age(root, made(cache, 1, 2, 3, 4))
        key = cache.key({"n": 5}, version="1", namespace=NAMESPACE)
        cache.put(key, {"x": torch.zeros(20 * KB, dtype=torch.uint8)})

        assert len(there(cache)) == 4
