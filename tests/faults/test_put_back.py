"""An index that is older than it knows, broken where only a removal looks, or cannot be read."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest
import torch
from processes import as_one_whom_modes_bind, ran
from roots import named_by_manifests, names_in, rows

import tensorcache
from tensorcache import disk
from tensorcache.index import Index, stamps

PAGE = 4096


def ask(cache, n, value, *, refresh=False):
    return cache.get_or_build(
        {"n": n},
        lambda: {"x": torch.full((5,), float(value))},
        version="1",
        namespace="t.put_back",
        refresh=refresh,
    )


def is_there(cache, n, value):
    def fails():
        raise AssertionError("this was to be a hit")

    entry = cache.get_or_build({"n": n}, fails, version="1", namespace="t.put_back")
    return bool((entry["x"] == value).all())


def pieces_in(root):
    return names_in(root, "shards", "documents")


def no_piece_is_left_over(root):
    return pieces_in(root) == {n for n in named_by_manifests(root) if not n.startswith("entries")}


def break_root_of(table, root):
    (page,) = rows(root, f"SELECT rootpage FROM sqlite_master WHERE name = '{table}'")[0]
    with open(Path(root, "index.sqlite"), "r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xee" * PAGE)


# --- put back from a backup ---

REMOVALS = {
    "remove": lambda cache, key: cache.remove(key),
    "vacuum, remove": lambda cache, key: (cache.vacuum(), cache.remove(key)),
    "refresh": lambda cache, _: ask(cache, 2, 3, refresh=True),
}


@pytest.fixture
def put_back(root):
    """Entry 1 has by now the piece of entry 2, and the index does not know; the key of entry 2."""
    with tensorcache.open(root) as cache:
        ask(cache, 1, 1)
        key = ask(cache, 2, 2).key
        backup = shutil.copy(Path(root, "index.sqlite"), Path(root).parent / "backup")
        ask(cache, 1, 2, refresh=True)
    gc.collect()
    shutil.copy(backup, Path(root, "index.sqlite"))
    return key


def test_a_generation_put_back_is_known_by_its_time_where_its_size_is_the_same(cache, root):
    ask(cache, 2, 1)  # it holds the piece of the first generation as well
    key = ask(cache, 1, 1).key
    manifest = Path(disk.manifest_path(disk.Root(root), str(key)))
    first = shutil.copy2(manifest, Path(root).parent / "first")
    ask(cache, 1, 2, refresh=True)
    assert Path(first).stat().st_size == manifest.stat().st_size
    gc.collect()
    os.replace(first, manifest)

    cache.vacuum()

    told = dict(rows(root, "SELECT key, digest FROM entry"))
    assert told[str(key)] == manifest.read_bytes()[-32:].hex()
    assert is_there(cache, 1, 1)
    assert no_piece_is_left_over(root)


def test_manifests_that_a_copy_gave_other_times_are_known_by_their_digests(cache, root):
    keys = [str(ask(cache, n, n).key) for n in range(3)]
    for key in keys:
        os.utime(disk.manifest_path(disk.Root(root), key))

    index = Index(f"{root}/index.sqlite")
    found, doubtful = disk.compared(disk.Root(root), stamps(index))
    assert (found, set(doubtful)) == (set(), set(keys))
    assert disk.unlike(disk.Root(root), keys, index.generations()) == set()
    assert cache.vacuum(dry_run=True).entries == ()


@pytest.mark.parametrize("how", REMOVALS)
def test_a_removal_by_an_index_that_was_put_back_takes_nobodys_piece(how, put_back, cache, root):
    REMOVALS[how](cache, put_back)

    assert is_there(cache, 1, 2)
    cache.vacuum()
    assert cache.verify(deep=True) == []
    assert no_piece_is_left_over(root)


def test_a_pin_counts_that_is_newer_than_an_index_that_was_put_back(cache, root):
    pinned = ask(cache, 1, 1).key
    ask(cache, 2, 2)
    backup = shutil.copy(Path(root, "index.sqlite"), Path(root).parent / "backup")
    cache.pin(pinned, "for the paper")
    gc.collect()
    shutil.copy(backup, Path(root, "index.sqlite"))
    plan = cache.vacuum(max_bytes=1, grace_seconds=0)

    assert len(plan.entries) == 1
    assert is_there(cache, 1, 1)
    cache.reindex()


def test_an_index_is_compared_with_a_root_once_and_not_while_it_is_the_last(
    cache, root, monkeypatch
):
    """However many entries there are, a refresh drops what it makes loose, and asks none."""
    compared = []
    pieces = sys.modules["tensorcache.rows.pieces"]
    apart = pieces.apart
    monkeypatch.setattr(pieces, "apart", lambda *asked: compared.append(1) or apart(*asked))
    for n in (1, 2):
        ask(cache, n, n)
    ask(cache, 1, 3, refresh=True)
    assert (compared, no_piece_is_left_over(root)) == ([], True)
    backup = shutil.copy(Path(root, "index.sqlite"), Path(root).parent / "backup")
    ask(cache, 1, 4, refresh=True)
    shutil.copy(backup, Path(root, "index.sqlite"))
    for value in (5, 6):
        ask(cache, 2, value, refresh=True)

    assert compared == [1]
    assert is_there(cache, 1, 4)
    assert no_piece_is_left_over(root)


# --- broken where nothing but a removal or a pin looks ---


@pytest.mark.parametrize("how", ["remove", "vacuum"])
def test_a_broken_page_that_a_removal_meets_leaves_no_piece(how, cache, root):
    keys = [ask(cache, n, n).key for n in range(4)]
    gc.collect()
    break_root_of("column", root)
    if how == "remove":
        cache.remove(*keys)
    else:
        assert len(cache.vacuum(max_bytes=1, grace_seconds=0).entries) == 4

    assert names_in(root, "entries", "shards", "documents") == set()
    assert cache.verify(deep=True) == []


@pytest.mark.parametrize("note", ["for the paper", None])
def test_a_broken_page_that_a_pin_meets_keeps_nobody_from_it(note, cache, root):
    key = ask(cache, 1, 1).key
    cache.pin(key, "once")
    break_root_of("entry", root)
    if note is None:
        cache.unpin(key)
    else:
        cache.pin(key, note)

    assert rows(root, "SELECT pinned FROM entry") == [(note,)]
    assert cache.verify(deep=True) == []


# --- it cannot be read, which is no evidence of rot ---

REPAIR = """
import sys, tensorcache
print(*tensorcache.open(sys.argv[1]).verify(repair=True), sep="\\n")
"""


def test_repair_leaves_an_index_that_it_may_not_read_as_it_is(cache, root):
    ask(cache, 1, 1)
    for _ in range(5):
        assert is_there(cache, 1, 1)
    assert list(cache.entries()["uses"]) == [5]
    index = Path(root, "index.sqlite")
    os.chmod(index, 0)
    inode = os.stat(index).st_ino
    done = ran(*as_one_whom_modes_bind(sys.executable, "-c", REPAIR, root))
    os.chmod(index, 0o644)

    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert "check its permissions" in line
    assert line.endswith("; left as it is")
    assert names_in(root, "quarantine") == set()
    assert os.stat(index).st_ino == inode
    assert list(cache.entries()["uses"]) == [5]


def test_repair_leaves_an_index_that_another_has_locked_as_it_is(cache, root):
    ask(cache, 1, 1)
    inode = os.stat(Path(root, "index.sqlite")).st_ino
    with contextlib.closing(sqlite3.connect(Path(root, "index.sqlite"))) as other:
        other.execute("BEGIN EXCLUSIVE")
        (line,) = cache.verify(repair=True)

    assert "is locked" in line
    assert line.endswith("; left as it is")
    assert os.stat(Path(root, "index.sqlite")).st_ino == inode
    assert names_in(root, "quarantine") == set()
