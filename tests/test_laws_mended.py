"""Faults that a reader found, each once and for all."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

import pytest
import torch

import tensorcache
from tensorcache import disk
from tensorcache.cache.build import Asked, NewerEntry
from tensorcache.disk import held as held_room
from tensorcache.errors import CacheTooNew, UnkeyableValue
from tensorcache.key import Key
from tensorcache.manifest import Piece, to_bytes
from tensorcache.source import Version


def ask(cache, build, n=1, **options):
    options = {"version": "1", "namespace": "t.mended"} | options
    return cache.get_or_build({"n": n}, build, **options)


def shards(root):
    return {path.name for path in Path(root).glob("shards/*/*")}


def key_of_the_one(root):
    (key,) = disk.keys_of(disk.Root(root))
    return key


def refreshed_but_rows_are_behind(cache, root):
    """An entry of a second generation whose rows are of the first, as a death leaves it."""
    key = ask(cache, lambda: {"a": [torch.zeros(5)]}).key.digest
    with sqlite3.connect(Path(root) / "index.sqlite") as index:
        old_digest, old = (
            index.execute("SELECT digest FROM entry").fetchone()[0],
            index.execute("SELECT entry, shard FROM entry_shard").fetchall(),
        )
        pieces = index.execute("SELECT * FROM shard").fetchall()
    ask(cache, lambda: {"a": [torch.ones(5)]}, refresh=True)
    with sqlite3.connect(Path(root) / "index.sqlite") as index:
        index.execute("DELETE FROM entry_shard")
        index.execute("DELETE FROM shard")
        index.executemany("INSERT INTO shard VALUES (?, ?, ?, ?)", pieces)
        index.executemany("INSERT INTO entry_shard VALUES (?, ?)", old)
        index.execute("UPDATE entry SET digest = ?", [old_digest])
    disk.leave_notes(disk.Root(root), [key])


def test_an_entry_whose_rows_are_behind_keeps_its_shards_when_the_index_cannot_be_written(
    cache, root
):
    refreshed_but_rows_are_behind(cache, root)
    mine = shards(root)
    index = cache._questions.index

    from tensorcache import rows

    _, orphans = rows.weights(disk.Root(root), index, {key_of_the_one(root)})
    every = [
        ("shard", Piece(path.stem, path.stat().st_size)) for path in Path(root).glob("shards/*/*")
    ]
    rows.drop_pieces(disk.Root(root), index, every)

    assert orphans == []
    assert shards(root) == mine
    cache.vacuum(grace_seconds=0)
    assert torch.equal(ask(cache, lambda: 1 / 0)["a"][0], torch.ones(5))


def test_what_verify_found_rotten_is_built_anew(cache, root):
    key = ask(cache, lambda: {"a": [torch.ones(64)]}).key
    (shard,) = Path(root).glob("shards/*/*")
    status = shard.stat()
    os.chmod(shard, 0o644)
    with shard.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\xff\xff\x7f\x7f")
    os.chmod(shard, 0o444)
    # As rot would, under the stat that is remembered.
    memory = disk.Memory(disk.Root(root), write=True)
    held_room.remember(disk.Root(root), disk.read_manifest(disk.Root(root), key.digest), memory, ())
    assert ask(cache, lambda: 1 / 0).hit  # which no stat can tell
    assert shard.stat().st_size == status.st_size

    found = cache.verify(deep=True)
    entry = ask(cache, lambda: {"a": [torch.ones(64)]})

    assert len(found) == 1
    assert "the next build heals it" in found[0]
    assert not entry.hit
    assert torch.equal(entry["a"][0], torch.ones(64))


def test_a_lease_goes_when_the_look_behind_it_fails(cache, root):
    key = ask(cache, lambda: {"a": 1}).key
    path = Path(disk.manifest_path(disk.Root(root), key.digest))
    manifest = disk.read_manifest(disk.Root(root), key.digest)
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(to_bytes(manifest._replace(format=2)))
    asked = Asked(key, "1", Version("hand:1", None), {}, {}, "")

    with pytest.raises(NewerEntry):
        cache._builds.wait_or_build(asked, dict, str, refresh=False, wait=None, clone=False)

    assert list(Path(root, "building").glob("*.lock")) == []
    path.write_bytes(whole)


def test_a_builder_that_meets_a_newer_cache_is_called_once(cache):
    calls = []

    def build():
        calls.append(1)
        raise CacheTooNew("of another cache")

    with pytest.raises(CacheTooNew, match="of another cache"):
        ask(cache, build)

    assert calls == [1]


def test_code_that_changes_while_it_builds_publishes_nothing(cache, tmp_path, monkeypatch):
    module = tmp_path / "builder_of_a_test.py"
    module.write_text("def build():\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    version = tensorcache.code_version("builder_of_a_test")

    def edited_meanwhile():
        module.write_text("def build():\n    return 2\n")
        import builder_of_a_test

        return {"value": builder_of_a_test.build()}

    entry = ask(cache, edited_meanwhile, version=version)
    sys.modules.pop("builder_of_a_test")

    assert entry["value"] == 2
    assert not entry.published
    assert "the code of the builder changed" in entry.why


def test_a_key_whose_text_is_anothers_is_refused(cache):
    with pytest.raises(UnkeyableValue, match=r"cache\.key"):
        cache.put(Key("ab" * 32, "t.mended", "junk"), {"a": 1})


def test_quarantine_is_as_old_as_the_finding_not_as_the_file(cache, root):
    ask(cache, lambda: {"a": [torch.ones(8)]})
    (shard,) = Path(root).glob("shards/*/*")
    os.utime(shard, (1e9, 1e9))
    with disk.locked(disk.Root(root)):
        disk.quarantine(disk.Root(root), str(shard))
    cache.vacuum(grace_seconds=0)

    assert len(list(Path(root).glob("quarantine/*"))) == 1
    assert ask(cache, lambda: {"a": [torch.ones(8)]}).published


@pytest.mark.parametrize("place", ["sources", "documents"])
def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(cache, root, place):
    ask(cache, lambda: {"a": [{"n": n} for n in range(50)]})
    for path in Path(root, place).rglob("*.*"):
        path.unlink()
        os.mkfifo(path)

    assert ask(cache, lambda: {"a": [{"n": n} for n in range(50)]})["a"][7] == {"n": 7}
    for path in Path(root, place).rglob("*.*"):
        if path.is_fifo():
            path.unlink()


def test_a_read_only_miss_says_why_too(cache, root):
    first = ask(cache, lambda: {"a": 1})

    with tensorcache.open(root, mode="ro") as reader:
        why = ask(reader, lambda: {"a": 1}, n=2).why

    assert why.startswith("not published: the cache is open with mode='ro'; nearest entry")
    assert first.key.short in why


def test_what_vacuum_takes_is_noted(cache):
    ask(cache, lambda: {"a": 1})
    cache.vacuum(max_bytes=1, grace_seconds=0)

    kinds = cache.sql("SELECT kind FROM event")["kind"].tolist()
    assert kinds.count("evict") == 1


def test_what_is_no_key_is_in_no_cache(cache):
    assert 5 not in cache
    assert None not in cache
